#include "mailbox/mail_world.h"

void mail_world_open(struct mail_world *w, struct engine *engine, struct blob_store *blobs)
{
	op_init(&w->op, "test");
	w->engine = engine;
	w->blobs = blobs ? blobs : blob_engine_new(engine);
	assert_null(ledger_open(&w->op, NULL, &w->ledger));
	w->store = mail_store_new(w->engine, w->ledger, w->blobs);
}

void mail_world_close(struct mail_world *w)
{
	mail_store_free(w->store);
	blob_store_close(w->blobs);
	ledger_close(w->ledger);
	engine_close(w->engine);
	op_done(&w->op);
}

void mail_world_make_account(struct mail_world *w, struct slice address)
{
	w->account.uuid = uuid_v7();
	assert_null(mail_store_make_account(&w->op, w->store, w->account, address));
}

void mail_world_restart(struct mail_world *w)
{
	mail_store_free(w->store);
	w->store = mail_store_new(w->engine, w->ledger, w->blobs);
}

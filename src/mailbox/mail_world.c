#include "mailbox/mail_world.h"

#include "blob/blob_inline.h"

void mail_world_open(struct mail_world *w, struct engine *engine, struct blob_store *content,
	uint64_t inline_max)
{
	op_init(&w->op, "test");
	w->engine = engine;
	w->blobs = blob_inline_new(content ? content : blob_engine_new(engine), engine, inline_max);
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

struct mailbox_status mail_world_status(struct mail_world *w, const char *path)
{
	struct mailbox_status status;
	assert_null(mailbox_find(&w->op, w->store, w->account, slice_from_cstr(path), &status));
	return status;
}

static struct error *plan_nothing(struct op *op, struct commit_plan *plan, void *context)
{
	(void)op;
	(void)context;
	plan_log(plan, SLICE(""));
	return NULL;
}

void mail_world_commit_nothing(struct mail_world *w)
{
	struct commit_change nothing = {.plan = plan_nothing};
	assert_null(commit_run(&w->op, w->store->commit, w->account, &nothing));
}

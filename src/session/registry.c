#include <stdlib.h>

#include "base/clock.h"
#include "base/hash_map.h"
#include "session/session_private.h"

static struct mutex lock = MUTEX_INIT;
static struct condition *emptied; /* under lock; NULL while nobody waits */
static struct session *sessions;  /* under lock */
static uint64_t last_number;      /* under lock */
static bool stopping;             /* under lock */
static struct hash_map accounts;  /* under lock: count as pointer-sized number */

void registry_add(struct session *session)
{
	bool drain;
	{
		AUTO_LOCK(&lock);
		session->number = ++last_number;
		session->next = sessions;
		session->link = &sessions;
		if (sessions)
			sessions->link = &session->next;
		sessions = session;
		drain = stopping;
	}
	if (drain)
		session_drain(session, false);
}

void registry_remove(struct session *session)
{
	AUTO_LOCK(&lock);
	*session->link = session->next;
	if (session->next)
		session->next->link = session->link;
	if (!sessions && emptied)
		condition_signal(emptied);
}

static struct session_info tell(struct op *op, struct session *session)
{
	AUTO_LOCK(&session->lock);
	struct session_info info = {.number = session->number,
		.protocol = session->protocol->name,
		.peer = arena_cstr(&op->arena, slice_from_cstr(session->peer.text)),
		.begun_us = session->begun_us,
		.is_tls = session->tls_version != NULL,
		.is_signed_in = session->idle_is_known};
	if (info.is_signed_in)
		info.account = session->account;
	return info;
}

void session_list(struct op *op, struct session_info **ret_sessions, size_t *ret_count)
{
	AUTO_LOCK(&lock);
	size_t count = 0;
	for (struct session *session = sessions; session; session = session->next)
		count++;
	*ret_sessions = ARENA_ARRAY(&op->arena, struct session_info, count + 1);
	*ret_count = count;
	/* The newest stands first. */
	for (struct session *session = sessions; session; session = session->next)
		(*ret_sessions)[--count] = tell(op, session);
}

bool session_disconnect(uint64_t number)
{
	AUTO_LOCK(&lock);
	for (struct session *session = sessions; session; session = session->next) {
		if (session->number != number)
			continue;
		session_drain(session, true);
		return true;
	}
	return false;
}

bool registry_sign_in(struct uuid account)
{
	AUTO_LOCK(&lock);
	uintptr_t count = (uintptr_t)hash_map_find(&accounts, uuid_as_slice(&account));
	if (count >= session_config.connections_per_account)
		return false;
	hash_map_put(&accounts, uuid_as_slice(&account), (void *)(count + 1));
	return true;
}

void registry_sign_out(struct uuid account)
{
	AUTO_LOCK(&lock);
	uintptr_t count = (uintptr_t)hash_map_find(&accounts, uuid_as_slice(&account));
	if (count > 1)
		hash_map_put(&accounts, uuid_as_slice(&account), (void *)(count - 1));
	else
		hash_map_remove(&accounts, uuid_as_slice(&account));
}

void sessions_stop(void)
{
	struct condition all_gone;
	condition_init(&all_gone);
	{
		AUTO_LOCK(&lock);
		stopping = true;
		emptied = &all_gone;
		for (struct session *session = sessions; session; session = session->next)
			session_drain(session, false);
		uint64_t deadline_ns =
			clock_monotonic_ns() + session_config.shutdown_grace_ms * NS_PER_MS;
		while (sessions && condition_wait_until(&all_gone, &lock, deadline_ns))
			;
		emptied = NULL;
		stopping = false;
	}
	condition_done(&all_gone);
}

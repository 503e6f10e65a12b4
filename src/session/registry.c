#include <stdlib.h>

#include "base/clock.h"
#include "base/hash_map.h"
#include "session/session_private.h"

static struct mutex lock = MUTEX_INIT;
static struct condition *emptied; /* under lock; NULL while nobody waits */
static struct session *sessions;  /* under lock */
static bool stopping;             /* under lock */
static struct hash_map accounts;  /* under lock: count as pointer-sized number */

void registry_add(struct session *session)
{
	bool drain;
	{
		AUTO_LOCK(&lock);
		session->next = sessions;
		session->link = &sessions;
		if (sessions)
			sessions->link = &session->next;
		sessions = session;
		drain = stopping;
	}
	if (drain)
		session_drain(session);
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
			session_drain(session);
		uint64_t deadline_ns =
			clock_monotonic_ns() + session_config.shutdown_grace_ms * NS_PER_MS;
		while (sessions && condition_wait_until(&all_gone, &lock, deadline_ns))
			;
		emptied = NULL;
		stopping = false;
	}
	condition_done(&all_gone);
}

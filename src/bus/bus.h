#pragma once

/* Says that an account has changed, on this node and on others. What it says is a hint and no more:
 * it may be lost, come twice, late, or out of order. Whoever is told looks at the truth, and
 * whoever must not miss anything has another way to find it. There are two ways to be told: all
 * nodes that watch an account are, and of all nodes in a work group one is. Any thread may call. */

#include "base/op.h"
#include "schema/ids.h"

struct bus;

struct bus_hint {
	struct account_id account;
	uint64_t modseq; /* 0: not known */
};

/* Names a hint that a work group was given, until its work is done. */
struct bus_work {
	uint64_t tag;
	uint32_t generation;
	uint32_t group;
};

/* What the bus calls, from a thread of its own: quick, and without waiting for anything. */
struct bus_watcher {
	/* Another node changed an account that this one watches, or may have: hints of others come
	 * too. */
	void (*changed)(void *context, const struct bus_hint *hint);
	/* Hints may have been lost: every watched account wants a look. */
	void (*missed)(void *context);
	void *context;
};

struct bus_worker {
	const char *group; /* a static text: small letters */
	/* The hint is this node's, its own ones among them. It says bus_done once the effect is
	 * durable; that may be from within. If it never does, another node is given the hint when
	 * this one has gone, or the same one again. */
	void (*take)(void *context, const struct bus_hint *hint, struct bus_work work);
	/* Hints of the group may have been lost. */
	void (*missed)(void *context);
	void *context;
};

#define BUS_WORKERS_MOST 8

struct bus_status {
	const char *kind;
	bool is_connected;
	bool is_live;         /* what this node says to itself comes back in time */
	uint64_t for_ms;      /* is_connected has been as it is for so long */
	const char *where;    /* which broker, or the one tried last; NULL: none */
	const char *trouble;  /* why it is not connected; NULL: nothing is wrong */
	uint64_t waiting;     /* hints not yet given to the broker */
	uint64_t unconfirmed; /* and those that it has not confirmed */
};

struct bus_ops {
	const char *name;
	void (*start)(struct bus *bus);
	void (*publish)(struct bus *bus, const struct bus_hint *hint);
	void (*watch)(struct bus *bus, struct account_id account, bool is_watched);
	void (*done)(struct bus *bus, struct bus_work work);
	bool (*is_live)(struct bus *bus);
	void (*status)(struct bus *bus, struct arena *arena, struct bus_status *ret_status);
	void (*stop)(struct bus *bus);
	void (*free)(struct bus *bus);
};

struct bus {
	const struct bus_ops *ops;
	struct bus_watcher watcher;
	struct bus_worker workers[BUS_WORKERS_MOST];
	size_t worker_count;
	bool reaches_others; /* nodes of other processes */
	bool is_stopped;
};

/* Before bus_start. Contexts are borrowed until bus_close has returned. */
void bus_set_watcher(struct bus *bus, struct bus_watcher watcher);
void bus_join(struct bus *bus, struct bus_worker worker);

/* Never fails: a broker that cannot be reached now is tried again. Once it is, `missed` is called.
 */
void bus_start(struct bus *bus);

/* Never waits and never fails. What there is no room for is dropped and counted; hints of one
 * account that still wait become one. */
void bus_publish(struct bus *bus, const struct bus_hint *hint);

/* Each watch is ended by one unwatch. If hints may have been lost until the bus knew of the
 * interest, `changed` is called for the account, with MODSEQ 0. */
void bus_watch(struct bus *bus, struct account_id account);
void bus_unwatch(struct bus *bus, struct account_id account);

void bus_done(struct bus *bus, struct bus_work work);

/* False: hints do not arrive now, so that polling must do alone. */
bool bus_is_live(struct bus *bus);

/* Texts are in the arena. */
void bus_get_status(struct bus *bus, struct arena *arena, struct bus_status *ret_status);

/* Sends what waits if that is quick, and calls nobody any more. All other functions may still be
 * called, and do nothing. NULL is fine. */
void bus_stop(struct bus *bus);

/* Stops and frees. NULL is fine. */
void bus_close(struct bus *bus);

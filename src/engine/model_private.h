#pragma once

/* Inside the model only: replicas, messages to them, and the coordinator that sends these. */

#include "base/hash_map.h"
#include "base/sync.h"
#include "engine/model.h"
#include "engine/stored_key.h"

#define MODEL_MOST (MODEL_CENTRES_MOST * MODEL_REPLICAS_MOST)

struct model_row {
	struct slice key; /* stored_key() */
	struct slice value;
	uint64_t version; /* of a CAS: its ballot */
	uint64_t expires_us;
	bool is_deleted;
};

struct model_rows {
	struct model_row *items; /* ascending by key */
	size_t count;
	size_t capacity;
};

/* Rows of one partition that reach a replica together. Holds copies; shared by messages. */
struct model_batch {
	size_t references;
	struct slice partition; /* the stored key of its static row */
	size_t count;
	struct model_row rows[];
};

struct paxos_state {
	uint64_t promised;
	uint64_t accepted;
	struct model_batch *accepted_batch;
	uint64_t committed;
	struct model_batch *committed_batch;
};

struct model_replica {
	unsigned centre;
	enum model_health health;
	struct model_rows rows;
	struct hash_map paxos; /* partition -> struct paxos_state */
};

enum message_kind {
	MESSAGE_MUTATE,
	MESSAGE_PREPARE,
	MESSAGE_ACCEPT,
	MESSAGE_COMMIT,
	MESSAGE_READ,
};

struct model_message {
	enum message_kind kind;
	struct model_replica *target;
	struct model_batch *batch; /* borrowed; a message that is kept takes a reference */
	uint64_t ballot;
	struct slice partition; /* PREPARE */
	/* Answers: a copy of the state, with references to its batches; rows in the arena. */
	struct paxos_state *ret_state;
	struct arena *arena;
	struct slice low, high;
	struct model_rows *ret_rows;
};

enum reply { REPLY_NONE, REPLY_YES, REPLY_NO };

/* What a paused coordinator of a CAS goes on with. */
struct model_cas {
	const struct table *table;
	bool must_exist;
	struct slice expected;
	struct model_batch *batch; /* owned */
	enum level serial_level;
	enum level commit_level;
	unsigned centre;
};

struct model_late {
	struct model_message message;
	unsigned from_centre;
	struct model_cas *cas; /* not NULL: a coordinator, not a message */
};

struct model {
	struct mutex lock; /* of everything below */
	size_t references;
	unsigned centres;
	unsigned replica_count;
	struct model_replica replicas[MODEL_MOST];
	bool is_cut;
	struct model_rates rates;
	uint64_t random;
	uint64_t ballot;
	struct model_late *late;
	size_t late_count;
	size_t late_capacity;
};

struct model_store {
	struct replicated store;
	struct model *model;
	unsigned centre;
	bool is_down;
	void (*step)(void *context);
	void *step_context;
};

/* A coordinator at work. */
struct model_call {
	struct model *model;
	struct model_store *store; /* NULL: it had paused, nobody hears it */
	struct op *op;
	unsigned centre;
	unsigned messages_left; /* then it stops; 0: it does not */
	bool is_stopped;
};

/* How many replicas have answered, by data centre. */
struct model_tally {
	unsigned by_centre[MODEL_CENTRES_MOST];
};

/* ---- model_replica.c ---- */

struct model_batch *model_batch_new(struct slice partition, size_t count);
void model_batch_set(struct model_batch *batch, size_t index, const struct mutation *mutation,
	struct slice key, uint64_t now_us);
struct model_batch *model_batch_ref(struct model_batch *batch);
void model_batch_unref(struct model_batch *batch);

/* Higher version; at equal ones a delete, then the larger value. */
bool model_row_wins(const struct model_row *a, const struct model_row *b);
bool model_row_is_live(const struct model_row *row);

void model_replica_done(struct model_replica *replica);

/* The target does what the message says. */
enum reply model_deliver(const struct model_message *message);

/* Of each key the row that wins. */
struct model_rows model_merge(
	struct arena *arena, const struct model_rows *copies, size_t copy_count);

/* The rows that win over what the copy holds. */
struct model_rows model_missing(
	struct arena *arena, const struct model_rows *merged, const struct model_rows *copy);

/* ---- model.c ---- */

uint64_t model_random(struct model *model); /* under the lock */
bool model_happens(struct model *model, unsigned per_thousand);
unsigned model_below(struct model *model, unsigned bound); /* takes the lock */

bool model_suffices(const struct model *model, unsigned centre, enum level level,
	const struct model_tally *tally);
bool model_is_alive(const struct model_call *call, enum level level);
enum reply model_send(struct model_call *call, const struct model_message *message);
void model_keep_cas(struct model *model, const struct model_cas *cas);
struct model_cas *model_cas_copy(const struct model_cas *cas);
void model_cas_free(struct model_cas *cas);

/* ---- model_paxos.c ---- */

/* With code NONE: applied, or *ret_conflict. */
void model_paxos_cas(struct model_call *call, const struct model_cas *cas,
	struct failure *ret_failure, bool *ret_conflict, struct slice *ret_current);

void model_paxos_read(struct model_call *call, enum level level, struct slice partition,
	struct slice low, struct slice high, struct failure *ret_failure,
	struct model_rows *ret_rows);

#pragma once

/* What clients do, and what a simple model says must be true of it. Every message has one owner,
 * who alone changes it; many owners share a mailbox, an account and a server. */

#include "consistency/ledger.h"
#include "blob/blob.h"
#include "mailbox/acl.h"
#include "mailbox/store.h"

#define NODES 2
#define CLIENTS_MAX 8
#define MESSAGES_MAX 160
#define BOXES 3

/* What the rows are kept by. */
enum sim_kind { SIM_ATOMIC, SIM_EMBEDDED, SIM_CLUSTER };

struct model;
struct replicated;

struct sim_node {
	struct mail_store *store;
	struct ledger *ledger;
	struct engine *engine;             /* this node's way to the rows: faults of its own */
	struct replicated *store_of_model; /* SIM_CLUSTER: what the engine is made of */
	uint64_t stopped_until_ns;         /* SIGSTOP: its next step is not before this */
	bool is_down;                      /* crashed: whatever it still says, nobody hears */
	int crashes;
	int busy;             /* clients and workers inside it */
	int contents_besides; /* of their operations, beyond one for each */
};

/* What may be true of a message. */
enum { PLACE_NONE = 1 << BOXES };

struct sim_message {
	int owner;
	char content[96];
	unsigned places; /* bits: boxes it may be in, or PLACE_NONE; exactly one of them is true */
	unsigned kw_maybe; /* bit 0: may be without the owner's keyword; bit 1: may have it */
	bool is_settled;   /* its last change had a certain outcome */
	uint32_t uid;      /* where it was last seen to come, 0: not known */
	int together;      /* 1 + the first of those appended with it; 0: alone */
	int instead;       /* 1 + what it was to replace; 0: nothing */
};

struct sim_world {
	uint64_t seed;
	enum sim_kind kind;
	int node_count;
	struct engine *rows; /* below all faults of calls; a cluster has only nodes' ways to it */
	struct model *model; /* SIM_CLUSTER */
	unsigned centres;
	unsigned replicas; /* in each */
	bool has_weather;
	struct blob_store *blobs[NODES];
	struct sim_node nodes[NODES];
	struct account_id account;
	struct slice boxes[BOXES];
	struct sim_message messages[MESSAGES_MAX];
	int message_count;
	int clients_left;
	bool has_stops;    /* nodes stop for long, and content is tidied away while they do */
	bool clients_roam; /* from node to node */
	int subscriptions; /* bits: names that were shown last; -1: none were */
	/* Bits: what may be the rights of each client's own name in the list of box 0. */
	unsigned rights_may[CLIENTS_MAX];
	unsigned cut_off; /* operations that a crash may have cut off between content and commit */
	int steps;
	char failure[512]; /* the first thing found wrong */
};

void sim_fail(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

void client_run(void *argument);

/* Rights that a client gives are below this. */
#define RIGHTS_MAX 4

/* Whom a client alone gives rights to. */
struct account_id sim_grantee(int client);

struct client {
	struct sim_world *world;
	int number;
	int node;
	int operations;
	/* A reader that applies QRESYNC deltas only. */
	struct uid_set known; /* in its own op */
	uint64_t known_modseq;
	uint32_t known_uidnext;
	uint64_t last_highest;
};

/* After the faults are over: everything must be true at once, and again after a fresh start. */
void check_world(struct sim_world *w, struct mail_store *store, const char *when);
void check_vault(struct sim_world *w, struct mail_store *store);
void check_reclaim(struct sim_world *w, struct mail_store *store);
void check_content(struct sim_world *w, struct mail_store *store);

#include "format/thread.h"

#include <stdlib.h>

#include "base/hash_map.h"

/* A message, or the place of one that is only referred to. Children in the order in which they were
 * found, later in that of their dates. */
struct node {
	const struct thread_message *message; /* NULL: not there */
	struct node *parent, *first, *next, *previous;
	size_t order; /* of the message; breaks ties */
};

/* Nobody's answer is linked further below than this: chains of a hostile mailbox must not cost the
 * square of its size. */
#define CHAIN_MOST 1000

struct threading {
	struct arena *arena;
	struct hash_map by_id; /* message id -> struct node */
	struct node root;      /* of all that have no parent */
};

static struct node *new_node(
	struct threading *t, const struct thread_message *message, size_t order)
{
	struct node *node = ARENA_NEW(t->arena, struct node);
	node->message = message;
	node->order = order;
	return node;
}

static void unlink_node(struct node *node)
{
	*(node->previous ? &node->previous->next : &node->parent->first) = node->next;
	if (node->next)
		node->next->previous = node->previous;
	node->parent = node->next = node->previous = NULL;
}

static void add_child(struct node *parent, struct node *child)
{
	child->parent = parent;
	child->next = parent->first;
	if (child->next)
		child->next->previous = child;
	parent->first = child;
}

static bool is_within(const struct node *node, const struct node *ancestor)
{
	for (int depth = 0; node && depth < CHAIN_MOST; node = node->parent, depth++)
		if (node == ancestor)
			return true;
	return node != NULL; /* too deep to tell: it is not linked further */
}

/* ---- Step 1: who answers whom ---- */

static struct node *node_of_id(struct threading *t, struct slice id)
{
	struct node *node = hash_map_find(&t->by_id, id);
	if (!node) {
		node = new_node(t, NULL, 0);
		hash_map_put(&t->by_id, id, node);
	}
	return node;
}

/* An id that a message before had already is as good as none. */
static struct node *node_of_message(
	struct threading *t, const struct thread_message *message, size_t order)
{
	struct node *node = message->message_id.len ? node_of_id(t, message->message_id) : NULL;
	if (!node || node->message)
		return new_node(t, message, order);
	node->message = message;
	node->order = order;
	return node;
}

static void link_references(
	struct threading *t, const struct thread_message *message, struct node *node)
{
	struct node *before = NULL;
	for (size_t i = 0; i < message->reference_count; i++) {
		struct node *now = node_of_id(t, message->references[i]);
		if (before && !now->parent && !is_within(before, now))
			add_child(before, now);
		before = now;
	}
	/* What it says itself counts more than what others said of it. */
	if (!before || before == node || is_within(before, node))
		return;
	if (node->parent)
		unlink_node(node);
	add_child(before, node);
}

static void gather_roots(struct threading *t, struct node *const *nodes, size_t count)
{
	struct hash_cursor cursor = {0};
	struct slice id;
	void *node;
	while (hash_map_next(&t->by_id, &cursor, &id, &node))
		if (!((struct node *)node)->parent)
			add_child(&t->root, node);
	for (size_t i = 0; i < count; i++)
		if (!nodes[i]->parent)
			add_child(&t->root, nodes[i]);
}

/* ---- Steps 3 and 4: without those that are not there, in the order of dates ---- */

static const struct thread_message *dated(const struct node *node)
{
	while (!node->message && node->first)
		node = node->first;
	return node->message;
}

static size_t order_of(const struct node *node)
{
	while (!node->message && node->first)
		node = node->first;
	return node->order;
}

static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a;
	const struct node *y = *(struct node *const *)b;
	const struct thread_message *one = dated(x);
	const struct thread_message *other = dated(y);
	int64_t by_date =
		one && other ? (one->sent_at > other->sent_at) - (one->sent_at < other->sent_at)
			     : 0;
	if (by_date)
		return (int)by_date;
	return (order_of(x) > order_of(y)) - (order_of(x) < order_of(y));
}

static void sort_children(struct threading *t, struct node *parent)
{
	size_t count = 0;
	for (struct node *child = parent->first; child; child = child->next)
		count++;
	if (count < 2)
		return;
	struct node **list = ARENA_ARRAY(t->arena, struct node *, count);
	size_t at = 0;
	for (struct node *child = parent->first; child; child = child->next)
		list[at++] = child;
	qsort(list, count, sizeof(struct node *), compare_nodes);
	for (size_t i = 0; i < count; i++) {
		list[i]->next = i + 1 < count ? list[i + 1] : NULL;
		list[i]->previous = i ? list[i - 1] : NULL;
	}
	parent->first = list[0];
}

/* Below the root one that is not there gives way to its only child; elsewhere to all of them. */
static void prune_child(struct node *parent, struct node *child)
{
	bool is_root = !parent->parent && !parent->message;
	bool stays = child->message || (is_root && child->first && child->first->next);
	if (stays)
		return;
	unlink_node(child);
	while (child->first) {
		struct node *grandchild = child->first;
		unlink_node(grandchild);
		add_child(parent, grandchild);
	}
}

/* The node that comes after this one, children before their parents. */
static struct node *deepest(struct node *node)
{
	while (node->first)
		node = node->first;
	return node;
}

static void prune_and_sort(struct threading *t)
{
	struct node *node = deepest(&t->root);
	while (node != &t->root) {
		struct node *parent = node->parent;
		struct node *next = node->next ? deepest(node->next) : parent;
		sort_children(t, node);
		prune_child(parent, node);
		node = next;
	}
	sort_children(t, &t->root);
}

/* ---- Step 5: threads of one subject ---- */

static const struct thread_message *subject_of(const struct node *root)
{
	return root->message ? root->message : dated(root);
}

/* Shall this one stand for its subject rather than that? */
static bool is_better(const struct node *node, const struct node *known)
{
	if (known->message && !node->message)
		return true;
	return known->message && node->message && known->message->is_reply &&
	       !node->message->is_reply;
}

static struct node *join(struct threading *t, struct node *node, struct node *known)
{
	const struct thread_message *one = node->message;
	const struct thread_message *other = known->message;
	if (!one && !other) {
		while (node->first) {
			struct node *child = node->first;
			unlink_node(child);
			add_child(known, child);
		}
		unlink_node(node);
		return known;
	}
	if (!other || (one && one->is_reply && !other->is_reply)) {
		unlink_node(node);
		add_child(known, node);
		return known;
	}
	/* Neither answers the other: a place for what both answer. */
	struct node *both = new_node(t, NULL, 0);
	unlink_node(node);
	unlink_node(known);
	add_child(both, known);
	add_child(both, node);
	add_child(&t->root, both);
	return both;
}

static void join_subjects(struct threading *t)
{
	struct hash_map by_subject;
	hash_map_init(&by_subject);
	for (struct node *node = t->root.first; node; node = node->next) {
		struct slice subject = subject_of(node)->subject;
		const struct node *known = hash_map_find(&by_subject, subject);
		if (subject.len && (!known || is_better(node, known))) {
			if (known)
				hash_map_remove(&by_subject, subject);
			hash_map_put(&by_subject, subject, node);
		}
	}
	struct node *next;
	for (struct node *node = t->root.first; node; node = next) {
		next = node->next;
		struct slice subject = subject_of(node)->subject;
		struct node *known = subject.len ? hash_map_find(&by_subject, subject) : NULL;
		if (!known || known == node || known->parent != &t->root)
			continue;
		/* `known` may be the next one, which is about to move. */
		if (next == known)
			next = known->next;
		struct node *joined = join(t, node, known);
		if (joined != known) {
			hash_map_remove(&by_subject, subject);
			hash_map_put(&by_subject, subject, joined);
		}
	}
	hash_map_done(&by_subject);
}

/* ---- Writing ---- */

static bool has_branches(const struct node *node)
{
	return node->first && node->first->next;
}

static void write_number(struct buf *out, const struct node *node)
{
	if (!node->message)
		return;
	if (out->ptr[out->len - 1] != '(')
		buf_append_char(out, ' ');
	buf_decimal(out, node->message->number);
}

/* "(3 6 (4 23)(44 7 96))": a chain stays within its parentheses, branches have their own. */
static void write_node(struct buf *out, const struct node *top)
{
	const struct node *node = top;
	buf_append_char(out, '(');
	write_number(out, node);
	while (node->first || node != top) {
		if (node->first) {
			if (has_branches(node))
				buf_append(out, node->message ? SLICE(" (") : SLICE("("));
			node = node->first;
			write_number(out, node);
			continue;
		}
		while (node != top && !node->next) {
			node = node->parent;
			if (has_branches(node))
				buf_append_char(out, ')');
		}
		if (node == top)
			break;
		buf_append(out, SLICE(")("));
		node = node->next;
		write_number(out, node);
	}
	buf_append_char(out, ')');
}

static void write_threads(struct threading *t, struct buf *out)
{
	for (const struct node *node = t->root.first; node; node = node->next)
		write_node(out, node);
}

void thread_by_references(
	struct arena *arena, const struct thread_message *messages, size_t count, struct buf *out)
{
	struct threading t = {.arena = arena};
	hash_map_init(&t.by_id);
	struct node **nodes = ARENA_ARRAY(arena, struct node *, count + 1);
	for (size_t i = 0; i < count; i++)
		nodes[i] = node_of_message(&t, &messages[i], i);
	for (size_t i = 0; i < count; i++)
		link_references(&t, &messages[i], nodes[i]);
	gather_roots(&t, nodes, count);
	prune_and_sort(&t);
	join_subjects(&t);
	prune_and_sort(&t);
	write_threads(&t, out);
	hash_map_done(&t.by_id);
}

static int compare_subjects(const void *a, const void *b)
{
	const struct thread_message *x = *(const struct thread_message *const *)a;
	const struct thread_message *y = *(const struct thread_message *const *)b;
	int by_subject = slice_compare(x->subject, y->subject);
	if (by_subject)
		return by_subject;
	if (x->sent_at != y->sent_at)
		return x->sent_at < y->sent_at ? -1 : 1;
	return (x > y) - (x < y);
}

/* ORDEREDSUBJECT: the first of a subject, and all others as its answers. */
void thread_by_subject(
	struct arena *arena, const struct thread_message *messages, size_t count, struct buf *out)
{
	struct threading t = {.arena = arena};
	const struct thread_message **sorted =
		ARENA_ARRAY(arena, const struct thread_message *, count + 1);
	for (size_t i = 0; i < count; i++)
		sorted[i] = &messages[i];
	qsort(sorted, count, sizeof(struct thread_message *), compare_subjects);
	struct node *first = NULL;
	for (size_t i = 0; i < count; i++) {
		struct node *node = new_node(&t, sorted[i], (size_t)(sorted[i] - messages));
		bool continues = first && slice_equal(first->message->subject, sorted[i]->subject);
		add_child(continues ? first : &t.root, node);
		if (!continues)
			first = node;
	}
	prune_and_sort(&t);
	write_threads(&t, out);
}

void message_ids_read(struct arena *arena, struct slice value, size_t most, struct slice **ret_ids,
	size_t *ret_count)
{
	size_t count = 0, kept = 0;
	for (size_t i = 0; i < value.len; i++)
		count += value.ptr[i] == '<';
	struct slice *ids = ARENA_ARRAY(arena, struct slice, count + 1);
	struct slice rest = value;
	while (rest.len) {
		rest = slice_from(rest, slice_find_char(rest, '<'));
		if (!rest.len)
			break;
		rest = slice_from(rest, 1);
		size_t end = slice_find_char(rest, '>');
		struct slice id = slice_range(rest, 0, end);
		/* Two that were run together: the last begins the id. */
		for (size_t again; (again = slice_find_char(id, '<')) < id.len;)
			id = slice_from(id, again + 1);
		if (end < rest.len && id.len)
			ids[kept++] = id;
		rest = slice_from(rest, MIN_OF(end + 1, rest.len));
	}
	*ret_ids = ids + (kept > most ? kept - most : 0);
	*ret_count = MIN_OF(kept, most);
}

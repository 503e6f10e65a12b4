#include "index/opensearch/opensearch_private.h"

#include "format/charset.h"

const char *const opensearch_fields[TEXT_FIELD_COUNT + 1] = {[TEXT_SUBJECT] = "subject",
	[TEXT_FROM] = "from",
	[TEXT_TO] = "to",
	[TEXT_CC] = "cc",
	[TEXT_BCC] = "bcc",
	[TEXT_OTHER_FIELDS] = "other",
	[TEXT_BODY] = "body",
	[TEXT_FIELD_COUNT] = "attached"};

/* So many trigrams of a needle are asked for; the others would narrow no further. */
#define TRIGRAMS_MOST 48

static void put_byte(struct buf *out, unsigned char c)
{
	if (c == '"' || c == '\\')
		buf_append_char(out, '\\');
	if (c < 0x20)
		buf_printf(out, "\\u%04x", c);
	else
		buf_append_char(out, (char)c);
}

void opensearch_put_text(struct buf *out, struct slice text)
{
	struct arena arena;
	arena_init(&arena);
	/* Folding makes it whole; needles and texts are folded the same way. */
	if (!utf8_is_valid(text))
		text = utf8_fold(&arena, text);
	buf_append_char(out, '"');
	for (size_t i = 0; i < text.len; i++)
		put_byte(out, (unsigned char)text.ptr[i]);
	buf_append_char(out, '"');
	arena_done(&arena);
}

void opensearch_put_uuid(struct buf *out, struct uuid id)
{
	char text[UUID_TEXT_LENGTH + 1];
	uuid_format(&id, text);
	buf_printf(out, "\"%s\"", text);
}

void opensearch_put_filters(struct buf *out, struct account_id account, uint64_t generation,
	const struct mailbox_id *mailbox)
{
	buf_append(out, SLICE("{\"term\":{\"account\":"));
	opensearch_put_uuid(out, account.uuid);
	buf_printf(
		out, "}},{\"term\":{\"generation\":\"%016llx\"}},", (unsigned long long)generation);
	if (mailbox) {
		buf_append(out, SLICE("{\"term\":{\"mailbox\":"));
		opensearch_put_uuid(out, mailbox->uuid);
		buf_append(out, SLICE("}},"));
	}
	buf_append(out, SLICE("{\"exists\":{\"field\":\"uid\"}}"));
}

static size_t character_length(struct slice text, size_t at)
{
	size_t length = 1;
	while (at + length < text.len && ((unsigned char)text.ptr[at + length] & 0xc0) == 0x80)
		length++;
	return length;
}

/* Every trigram of the needle, in one field. */
static void put_trigrams(struct buf *out, const char *field, struct slice needle)
{
	size_t at = 0;
	buf_append(out, SLICE("{\"bool\":{\"filter\":["));
	for (int i = 0; i < TRIGRAMS_MOST; i++) {
		size_t end = at;
		for (int j = 0; j < INDEX_NEEDLE_MIN && end < needle.len; j++)
			end += character_length(needle, end);
		buf_printf(out, "%s{\"term\":{\"%s\":", i ? "," : "", field);
		opensearch_put_text(out, slice_range(needle, at, end));
		buf_append(out, SLICE("}}"));
		if (end >= needle.len)
			break;
		at += character_length(needle, at);
	}
	buf_append(out, SLICE("]}}"));
}

static void put_texts(struct buf *out, const struct index_query *query)
{
	buf_append(out, SLICE(",{\"bool\":{\"minimum_should_match\":1,\"should\":["
			      "{\"term\":{\"whole\":false}}"));
	for (int i = 0; i < TEXT_FIELD_COUNT; i++) {
		if (!(query->fields & (1U << i)))
			continue;
		buf_append_char(out, ',');
		put_trigrams(out, opensearch_fields[i], query->needle);
	}
	buf_append(out, SLICE("]}}"));
}

void opensearch_put_attached(struct buf *out, enum opensearch_places places)
{
	if (places == PLACES_OWED)
		buf_printf(out, ",{\"range\":{\"attached\":{\"gte\":%d,\"lte\":%d}}}",
			INDEX_ATTACHED_OWED, INDEX_ATTACHED_OWED_MOST);
	if (places == PLACES_GIVEN_UP)
		buf_printf(out, ",{\"term\":{\"attached\":%d}}", INDEX_ATTACHED_GIVEN_UP);
}

struct slice opensearch_query(struct arena *arena, struct account_id account, uint64_t generation,
	struct mailbox_id mailbox, enum opensearch_places places, const struct index_query *query,
	uint32_t from, size_t most)
{
	struct buf out = buf_in(arena);
	buf_printf(&out,
		"{\"size\":%zu,\"track_total_hits\":false,\"_source\":false,%s"
		"\"docvalue_fields\":[\"uid\"%s],\"sort\":[{\"uid\":\"asc\"}],"
		"\"query\":{\"bool\":{\"filter\":[",
		most, query ? "" : "\"version\":true,\"seq_no_primary_term\":true,",
		query ? "" : ",\"message\",\"fingerprint\",\"attached\"");
	opensearch_put_filters(&out, account, generation, &mailbox);
	buf_printf(&out, ",{\"range\":{\"uid\":{\"gte\":%u}}}", from);
	opensearch_put_attached(&out, places);
	if (query)
		put_texts(&out, query);
	buf_append(&out, SLICE("]}}}"));
	return buf_as_slice(&out);
}

static void put_newer(struct buf *out, const struct opensearch_progress *progress)
{
	buf_printf(out, "{\"range\":{\"_seq_no\":{\"gt\":%llu}}}",
		(unsigned long long)progress->seq_no);
}

struct slice opensearch_held_query(struct arena *arena, struct account_id account,
	const struct opensearch_progress *progress, struct mailbox_id mailbox, uint32_t below)
{
	struct buf out = buf_in(arena);
	buf_append(&out, SLICE("{\"size\":0,\"track_total_hits\":false,"
			       "\"query\":{\"bool\":{\"filter\":["));
	opensearch_put_filters(&out, account, progress->state.id, &mailbox);
	buf_printf(&out,
		",{\"range\":{\"uid\":{\"lt\":%u}}}]}},"
		"\"aggs\":{\"uids\":{\"stats\":{\"field\":\"uid\"}},\"altered\":{\"filter\":",
		below);
	put_newer(&out, progress);
	buf_append(&out, SLICE("}}}"));
	return buf_as_slice(&out);
}

struct slice opensearch_newer_query(
	struct arena *arena, struct account_id account, const struct opensearch_progress *progress)
{
	struct buf out = buf_in(arena);
	buf_append(&out, SLICE("{\"size\":0,\"track_total_hits\":true,"
			       "\"query\":{\"bool\":{\"filter\":["));
	opensearch_put_filters(&out, account, progress->state.id, NULL);
	buf_append_char(&out, ',');
	put_newer(&out, progress);
	buf_append(&out, SLICE("]}}}"));
	return buf_as_slice(&out);
}

/* ---- Words ---- */

/* Terms that the weight of what is near is made of: BM25 counts each, and there is a bound for all.
 */
#define WEIGHED_MOST "10"

static unsigned weight_of(enum text_field field)
{
	return field == TEXT_SUBJECT ? 4 : field == TEXT_FROM ? 2 : 1;
}

/* {"constant_score":{"filter":{"term":{"body_words":"word"}},"boost":100000}} and the like. */
static void put_like(struct buf *out, const char *kind, const char *field, const char *value,
	struct slice word, const char *more, unsigned likeness)
{
	buf_printf(out,
		"{\"constant_score\":{\"boost\":%u,\"filter\":{\"%s\":{\"%s" OPENSEARCH_WORDS
		"\":{\"%s\":",
		likeness * OPENSEARCH_SCORE_OF_PERCENT, kind, field, value);
	opensearch_put_text(out, word);
	buf_printf(out, "%s}}}}}", more);
}

/* Like search_word_likeness(): the nearest in any field counts. */
static void put_likes(struct buf *out, const struct index_word_query *query, struct slice word)
{
	static const struct {
		unsigned likeness;
		const char *more;
	} nearness[] = {
		{WORD_IS_NEAR,
			",\"fuzziness\":1,\"prefix_length\":1,\"rewrite\":\"constant_score\""},
		{WORD_IS_FAR,
			",\"fuzziness\":2,\"prefix_length\":1,\"rewrite\":\"constant_score\""},
	};
	unsigned edits = query->is_exact ? 0 : search_word_edits(word);
	bool is_first = true;
	buf_append(out, SLICE("{\"dis_max\":{\"queries\":["));
	for (int i = 0; i <= TEXT_FIELD_COUNT; i++) {
		if (!(query->fields & INDEX_WORDS_FIELDS & (1U << i)))
			continue;
		const char *field = opensearch_fields[i];
		buf_append(out, is_first ? SLICE("") : SLICE(","));
		is_first = false;
		put_like(out, "term", field, "value", word, "", WORD_IS_SAME);
		if (search_word_may_begin(word)) {
			buf_append_char(out, ',');
			put_like(out, "prefix", field, "value", word, "", WORD_BEGINS);
		}
		for (unsigned near = 0; near < edits; near++) {
			buf_append_char(out, ',');
			put_like(out, "fuzzy", field, "value", word, nearness[near].more,
				nearness[near].likeness);
		}
	}
	buf_append(out, SLICE("]}}"));
}

static void put_weights(struct buf *out, unsigned fields, struct slice word, bool is_first)
{
	for (int i = 0; i <= TEXT_FIELD_COUNT; i++) {
		if (!(fields & INDEX_WORDS_FIELDS & (1U << i)))
			continue;
		buf_printf(out,
			"%s{\"fuzzy\":{\"%s" OPENSEARCH_WORDS "\":{\"value\":", is_first ? "" : ",",
			opensearch_fields[i]);
		is_first = false;
		opensearch_put_text(out, word);
		buf_printf(out,
			",\"fuzziness\":%u,\"prefix_length\":1,\"max_expansions\":" WEIGHED_MOST
			",\"boost\":%u}}}",
			search_word_edits(word), weight_of((enum text_field)i));
	}
}

struct slice opensearch_word_query(struct arena *arena, struct account_id account,
	uint64_t generation, const struct index_word_query *query, uint32_t from, size_t most)
{
	struct buf out = buf_in(arena);
	const struct search_words *words = query->words;
	buf_printf(&out,
		"{\"size\":%zu,\"track_total_hits\":false,\"track_scores\":true,\"_source\":false,"
		"\"docvalue_fields\":[\"uid\"],\"sort\":[{\"uid\":\"asc\"}],"
		"\"query\":{\"bool\":{\"filter\":[",
		most);
	opensearch_put_filters(&out, account, generation, &query->mailbox);
	buf_printf(&out,
		",{\"range\":{\"uid\":{\"gte\":%u}}}],\"minimum_should_match\":1,\"should\":["
		"{\"constant_score\":{\"boost\":0,\"filter\":{\"bool\":{\"must_not\":"
		"{\"exists\":{\"field\":\"message\"}}}}}},"
		"{\"bool\":{\"must\":[",
		from);
	for (size_t i = 0; i < words->count; i++) {
		buf_append(&out, i ? SLICE(",") : SLICE(""));
		put_likes(&out, query, words->items[i]);
	}
	buf_append(&out, SLICE("],\"should\":["));
	for (size_t i = 0; i < words->count; i++)
		put_weights(&out, query->fields, words->items[i], i == 0);
	buf_append(&out, SLICE("]}}]}}}"));
	return buf_as_slice(&out);
}

/* Nodes with other rules keep to themselves. */
const char *opensearch_progress_path(
	struct arena *arena, const struct opensearch_view *view, struct account_id account)
{
	const char *id = uuid_text(arena, account.uuid);
	return arena_printf(arena, "_doc/%s-%08x-%s?routing=%s", id, view->shared->rules,
		view->is_beside ? "beside" : "live", id);
}

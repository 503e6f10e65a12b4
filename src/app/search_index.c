#include "app/search_index.h"

#include "blob/blob_sealed.h"
#include "index/fts5/fts5.h"
#include "index/opensearch/opensearch.h"

enum index_kind { INDEX_AUTO, INDEX_FTS5, INDEX_OPENSEARCH, INDEX_NONE };

static const char *const index_kinds[] = {[INDEX_AUTO] = "auto",
	[INDEX_FTS5] = "fts5",
	[INDEX_OPENSEARCH] = "opensearch",
	[INDEX_NONE] = "none",
	NULL};

static struct {
	int kind; /* enum index_kind */
	uint64_t open_files;
	bool has_words;
} config;

/* clang-format off */
const struct setting search_index_settings[] = {
	{"search.index", SETTING_CHOICE, &config.kind, "auto", 0, 0, index_kinds, false,
		"What searches of text are made quick by: files of SQLite under data, OpenSearch (opensearch.*), or nothing; auto: fts5 with the embedded engine, unless content is encrypted, since what is indexed is not."},
	{"search.open_files", SETTING_NUMBER, &config.open_files, "64", 1, 10000, NULL, false,
		"Accounts whose index stays open, with up to 1 MiB of memory each."},
	{"search.fuzzy", SETTING_BOOL, &config.has_words, "yes", 0, 0, NULL, false,
		"The index keeps words too, which SEARCH FUZZY and the order by relevancy need; without them it is smaller. After a change indexes are made anew."},
};
const size_t search_index_setting_count = ARRAY_SIZE(search_index_settings);
/* clang-format on */

static enum index_kind kind_in_force(bool is_embedded)
{
	bool is_encrypted = blob_sealed_config.key_file && *blob_sealed_config.key_file;
	if (config.kind != INDEX_AUTO)
		return (enum index_kind)config.kind;
	return is_embedded && !is_encrypted ? INDEX_FTS5 : INDEX_NONE;
}

static struct error *open_opensearch(struct op *op, struct index **ret_index)
{
	struct opensearch_options options = opensearch_config;
	options.rules = search_texts_rules();
	options.has_words = config.has_words;
	options.has_attached = search_wants_attachments();
	return opensearch_open(op, &options, ret_index);
}

struct error *search_index_check(struct op *op, const char **ret_setting)
{
	struct index *index;
	*ret_setting = "search.tika";
	TRY(search_check_attachments(op));
	if (search_wants_attachments() && !config.has_words)
		return op_fail(op, ERR_INVALID, "words of attachments need search.fuzzy");
	*ret_setting = "opensearch.hosts";
	if (config.kind != INDEX_OPENSEARCH)
		return NULL;
	TRY(open_opensearch(op, &index));
	index_close(index);
	return NULL;
}

struct error *search_index_open(struct op *op, const struct data_directory *data,
	struct mail_store *store, bool is_embedded, struct search **ret_search)
{
	struct index *index;
	enum index_kind kind = kind_in_force(is_embedded);
	const struct fts5_options fts5 = {.folder = data_directory_file(&op->arena, data, "index"),
		.open_files = config.open_files,
		.rules = search_texts_rules(),
		.has_words = config.has_words,
		.has_attached = search_wants_attachments()};
	*ret_search = NULL;
	if (kind == INDEX_NONE)
		return NULL;
	if (kind == INDEX_OPENSEARCH)
		TRY(open_opensearch(op, &index));
	else
		TRY(fts5_open(op, &fts5, &index));
	*ret_search = search_new(store, index);
	return search_read_attachments(op, *ret_search);
}

#include "app/search_index.h"

#include "blob/blob_sealed.h"
#include "index/fts5/fts5.h"

enum index_kind { INDEX_AUTO, INDEX_FTS5, INDEX_NONE };

static const char *const index_kinds[] = {
	[INDEX_AUTO] = "auto", [INDEX_FTS5] = "fts5", [INDEX_NONE] = "none", NULL};

static struct {
	int kind; /* enum index_kind */
	uint64_t open_files;
} config;

/* clang-format off */
const struct setting search_index_settings[] = {
	{"search.index", SETTING_CHOICE, &config.kind, "auto", 0, 0, index_kinds, false,
		"What searches of text are made quick by: files of SQLite under data, or nothing; auto: fts5 with the embedded engine, unless content is encrypted, since what is indexed is not."},
	{"search.open_files", SETTING_NUMBER, &config.open_files, "64", 1, 10000, NULL, false,
		"Accounts whose index stays open, with up to 1 MiB of memory each."},
};
const size_t search_index_setting_count = ARRAY_SIZE(search_index_settings);
/* clang-format on */

static bool has_index(bool is_embedded)
{
	bool is_encrypted = blob_sealed_config.key_file && *blob_sealed_config.key_file;
	return config.kind == INDEX_FTS5 ||
	       (config.kind == INDEX_AUTO && is_embedded && !is_encrypted);
}

struct error *search_index_open(struct op *op, const struct data_directory *data,
	struct mail_store *store, bool is_embedded, struct search **ret_search)
{
	struct index *index;
	*ret_search = NULL;
	if (!has_index(is_embedded))
		return NULL;
	const struct fts5_options options = {
		.folder = data_directory_file(&op->arena, data, "index"),
		.open_files = config.open_files,
		.rules = search_texts_rules()};
	TRY(fts5_open(op, &options, &index));
	*ret_search = search_new(store, index);
	return NULL;
}

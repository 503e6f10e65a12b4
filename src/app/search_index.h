#pragma once

/* Which search index there is. */

#include "app/data_directory.h"
#include "base/setting.h"
#include "search/search.h"

extern const struct setting search_index_settings[];
extern const size_t search_index_setting_count;

/* ERR_INVALID: with these settings it cannot be used; *ret_setting is which. */
MUST_CHECK struct error *search_index_check(struct op *op, const char **ret_setting);

/* *ret_search is NULL when there is to be none. `is_embedded`: no other node writes the rows. */
MUST_CHECK struct error *search_index_open(struct op *op, const struct data_directory *data,
	struct mail_store *store, bool is_embedded, struct search **ret_search);

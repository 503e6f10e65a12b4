#include "front/imap/imap_acl.h"
#include "front/imap/imap_append.h"
#include "front/imap/imap_fetch.h"
#include "front/imap/imap_metadata.h"
#include "front/imap/imap_notify.h"
#include "front/imap/imap_sort.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct error *parse(struct op *op, struct imap_args *args, unsigned what)
{
	struct fetch_request fetch;
	struct search_request search;
	struct sort_request sort;
	struct imap_flags flags;
	struct imap_words words;
	struct slice text;
	struct append_args append;
	struct imap_page page;
	struct notify_request *notify = ARENA_NEW(&op->arena, struct notify_request);
	struct getmetadata get;
	struct setmetadata set;
	struct acl_args acl;
	switch (what % 14) {
	case 0:
		return imap_fetch_parse(op, args, &fetch);
	case 1:
		return imap_search_parse(op, args, &search);
	case 2:
		return imap_flag_list(op, args, true, &flags);
	case 3:
		return imap_astring_list(op, args, &words);
	case 4:
		TRY(imap_mailbox(op, args, &text));
		return imap_list_pattern(op, args, &text);
	case 5:
		return imap_sort_parse(op, args, &sort);
	case 8:
		return imap_append_parse(op, args, true, &append);
	case 9:
		return imap_page_range(op, args, &page);
	case 10:
		return imap_notify_parse(op, args, notify);
	case 13:
		return imap_setacl_parse(op, args, &acl);
	case 11:
		return imap_getmetadata_parse(op, args, &get);
	case 12:
		return imap_setmetadata_parse(op, args, &set);
	case 6:
		return imap_thread_parse(op, args, &sort);
	default:
		return imap_skip_value(op, args);
	}
}

/* The first byte chooses the grammar. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size == 0)
		return 0;
	AUTO_OP(op, "fuzz");
	struct imap_args args;
	struct slice line = slice_of(bytes + 1, size - 1);
	struct slice name;
	imap_args_begin(line, &args, &name);
	args = (struct imap_args){.line = line,
		.rest = line,
		.has_utf8 = bytes[0] & 64,
		.has_fuzzy = true,
		.is_uid = bytes[0] & 128};
	struct error *err = parse(&op, &args, bytes[0] & 63);
	return err && err->kind == ERR_INTERNAL;
}

/* What OpenSearch says, or whoever stands in its place. The first byte chooses what was asked. */

#include "index/opensearch/opensearch_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	AUTO_OP(op, "fuzz");
	struct opensearch_progress progress;
	struct index_entry *entries;
	struct index_hit *hits;
	struct error *err;
	size_t count;
	uint64_t total;
	struct index_held held;
	bool is_refusal = false;
	if (size < 1)
		return 0;
	struct slice answer = slice_of(bytes + 1, size - 1);
	switch (bytes[0] % 6) {
	case 0:
		err = opensearch_parse_progress(&op, answer, &progress);
		if (!err && progress.found && progress.state.id == 0)
			abort();
		break;
	case 1:
		err = opensearch_parse_hits(&op, answer, bytes[0], &entries, &count);
		for (size_t i = 1; !err && i < count; i++)
			if (entries[i].uid <= entries[i - 1].uid)
				abort();
		break;
	case 4:
		err = opensearch_parse_ranking(&op, answer, 1 + bytes[0] % 8, &hits, &count);
		for (size_t i = 0; !err && i < count; i++)
			if (hits[i].score > 100 || (i && hits[i].uid <= hits[i - 1].uid))
				abort();
		break;
	case 5:
		err = opensearch_parse_held(&op, answer, &held);
		break;
	case 2:
		err = opensearch_parse_total(&op, answer, &total);
		break;
	default:
		err = opensearch_parse_bulk(&op, answer);
		is_refusal = err && err->kind == ERR_INVALID;
		break;
	}
	if (err && err->kind != ERR_UNAVAILABLE && !is_refusal)
		abort();
	return 0;
}

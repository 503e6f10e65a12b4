#include <assert.h>

#include "delivery/same_delivery.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct slice content = slice_of(bytes, size);
	bool has_id = content_has_received_id(content);
	/* Without the words there is no id. */
	bool has_words = false;
	for (size_t i = 0; i + 1 < size; i++)
		has_words |= ascii_lower(content.ptr[i]) == 'i' &&
			     ascii_lower(content.ptr[i + 1]) == 'd';
	assert(has_words || !has_id);
	return 0;
}

#include <assert.h>

#include "bus/hint_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is a hint is written as it was read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hint_message message;
	char again[HINT_BYTES];
	if (!hint_parse(slice_of(data, size), &message))
		return 0;
	hint_format(&message, again);
	assert(slice_equal(slice_of(data, size), slice_of(again, sizeof(again))));
	return 0;
}

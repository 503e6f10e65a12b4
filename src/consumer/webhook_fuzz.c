#include "consumer/webhook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_OP(op, "fuzz");
	struct webhook_options hooks[WEBHOOKS_MOST];
	size_t count = 0;
	struct error *err = webhooks_parse(&op, slice_of(data, size), hooks, &count);
	for (size_t i = 0; !err && i < count; i++)
		if (!hooks[i].name.len || !hooks[i].url.len || !hooks[i].events)
			__builtin_trap();
	return 0;
}

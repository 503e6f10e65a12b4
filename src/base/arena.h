#pragma once

/* Memory that dies together: a bump allocator for one operation. Not thread-safe; one arena belongs
 * to one operation at a time. Out of memory aborts, so no call returns NULL. */

#include <stdarg.h>

#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *current;
	size_t used; /* bytes taken from the current block */
};

struct arena_mark {
	struct arena_block *block;
	size_t used;
};

void arena_init(struct arena *arena);
void arena_done(struct arena *arena);

/* Zeroed, aligned for any type. Lives until arena_release to an earlier mark, or arena_done. */
void *arena_alloc(struct arena *arena, size_t size);

/* Not zeroed; for buffers about to be filled. */
void *arena_alloc_raw(struct arena *arena, size_t size);

/* Enlarges an allocation; in place when it was the last one. */
void *arena_grow(struct arena *arena, void *old, size_t old_size, size_t new_size);

struct arena_mark arena_mark(const struct arena *arena);

/* Frees everything allocated since the mark. */
void arena_release(struct arena *arena, struct arena_mark mark);

struct slice arena_dup(struct arena *arena, struct slice bytes);

/* NUL-terminated copy, for library calls. */
char *arena_cstr(struct arena *arena, struct slice bytes);

char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *arena, const char *format, va_list args) PRINTF_LIKE(2, 0);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) \
	((type *)arena_alloc((arena), sizeof(type) * (size_t)(count)))

/* malloc and friends that abort instead of returning NULL; for what lives longer than an operation.
 */
void *heap_alloc(size_t size);
void *heap_realloc(void *old, size_t size);
char *heap_cstr(struct slice bytes);

#define HEAP_NEW(type) ((type *)heap_alloc(sizeof(type)))

#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_FIRST_BLOCK 1008
#define ARENA_LARGEST_STEP KIB(256)

struct arena_block {
	struct arena_block *previous;
	size_t size;
	alignas(max_align_t) char bytes[];
};

static void out_of_memory(void) NORETURN;

static void out_of_memory(void)
{
	fputs("holdfast: out of memory\n", stderr);
	abort();
}

void *heap_alloc(size_t size)
{
	void *memory = calloc(1, size ? size : 1);
	if (!memory)
		out_of_memory();
	return memory;
}

void *heap_realloc(void *old, size_t size)
{
	void *memory = realloc(old, size ? size : 1);
	if (!memory)
		out_of_memory();
	return memory;
}

char *heap_cstr(struct slice bytes)
{
	char *text = heap_alloc(bytes.len + 1);
	if (bytes.len)
		memcpy(text, bytes.ptr, bytes.len);
	return text;
}

void arena_init(struct arena *arena)
{
	*arena = (struct arena){0};
}

static void free_down_to(struct arena *arena, struct arena_block *keep)
{
	while (arena->current != keep) {
		struct arena_block *block = arena->current;
		arena->current = block->previous;
		free(block);
	}
}

void arena_done(struct arena *arena)
{
	free_down_to(arena, NULL);
	arena->used = 0;
}

static size_t aligned(size_t size)
{
	size_t mask = alignof(max_align_t) - 1;
	return (size + mask) & ~mask;
}

static void add_block(struct arena *arena, size_t wanted)
{
	size_t step = arena->current ? MIN_OF(arena->current->size * 2, ARENA_LARGEST_STEP)
				     : ARENA_FIRST_BLOCK;
	size_t size = MAX_OF(step, wanted);
	struct arena_block *block = malloc(sizeof(*block) + size);
	if (!block)
		out_of_memory();
	block->previous = arena->current;
	block->size = size;
	arena->current = block;
	arena->used = 0;
}

void *arena_alloc_raw(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX / 2)
		out_of_memory();
	size_t wanted = aligned(size ? size : 1);
	if (!arena->current || arena->current->size - arena->used < wanted)
		add_block(arena, wanted);
	void *memory = arena->current->bytes + arena->used;
	arena->used += wanted;
	return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return memset(arena_alloc_raw(arena, size), 0, size);
}

void *arena_grow(struct arena *arena, void *old, size_t old_size, size_t new_size)
{
	if (old && new_size <= aligned(old_size))
		return old;
	size_t taken = aligned(old_size ? old_size : 1);
	if (old && arena->current && arena->used >= taken) {
		size_t offset = arena->used - taken;
		bool is_last = (char *)old == arena->current->bytes + offset;
		if (is_last && arena->current->size - offset >= aligned(new_size)) {
			arena->used = offset + aligned(new_size);
			return old;
		}
	}
	void *memory = arena_alloc_raw(arena, new_size);
	if (old && old_size)
		memcpy(memory, old, old_size);
	return memory;
}

struct arena_mark arena_mark(const struct arena *arena)
{
	return (struct arena_mark){.block = arena->current, .used = arena->used};
}

void arena_release(struct arena *arena, struct arena_mark mark)
{
	free_down_to(arena, mark.block);
	arena->used = mark.used;
}

struct slice arena_dup(struct arena *arena, struct slice bytes)
{
	char *copy = arena_alloc_raw(arena, bytes.len);
	if (bytes.len)
		memcpy(copy, bytes.ptr, bytes.len);
	return slice_of(copy, bytes.len);
}

char *arena_cstr(struct arena *arena, struct slice bytes)
{
	char *copy = arena_alloc_raw(arena, bytes.len + 1);
	if (bytes.len)
		memcpy(copy, bytes.ptr, bytes.len);
	copy[bytes.len] = '\0';
	return copy;
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		out_of_memory();
	char *text = arena_alloc_raw(arena, (size_t)length + 1);
	vsnprintf(text, (size_t)length + 1, format, args);
	return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = arena_vprintf(arena, format, args);
	va_end(args);
	return text;
}

#include "base/test.h"

#include "blob/seal.h"

#define KEY_ONE "first 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_TWO "second 1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100\n"

struct world {
	struct op op;
	struct seal_keys keys, none;
	struct blob_id id;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	assert_null(seal_keys_parse(&w->op, SLICE(KEY_ONE), &w->keys));
	w->id.uuid = uuid_v7();
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	op_done(&w->op);
	free(w);
	return 0;
}

static struct slice text(struct world *w, size_t size)
{
	char *bytes = arena_alloc_raw(&w->op.arena, size);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)("To be sealed, or not. "[i % 22] + (i >> 16));
	return slice_of(bytes, size);
}

static struct slice sealed(
	struct world *w, const struct seal_keys *keys, bool compress, struct slice content)
{
	uint8_t *digest = arena_alloc(&w->op.arena, SHA256_SIZE);
	struct slice bytes;
	sha256_of(content, digest);
	assert_null(seal(
		&w->op, keys, compress, w->id, content, slice_of(digest, SHA256_SIZE), &bytes));
	return bytes;
}

static struct error *opened(struct world *w, const struct seal_keys *keys, struct blob_id id,
	struct slice bytes, struct slice *ret_content)
{
	struct seal_header header;
	size_t missing;
	TRY(seal_read_header(&w->op, bytes, &header, &missing));
	if (missing)
		return op_fail(&w->op, ERR_CORRUPT, "the header is cut off");
	struct seal_span span = seal_span_of(&header, 0, header.size);
	TRY(seal_open(&w->op, keys, id, &header, &span, slice_from(bytes, span.from), ret_content));
	uint8_t digest[SHA256_SIZE];
	sha256_of(*ret_content, digest);
	bool is_same = slice_equal(slice_of(digest, sizeof(digest)), header.sha256);
	return is_same ? NULL : op_fail(&w->op, ERR_CORRUPT, "it has another checksum");
}

static void then_kind_is(const struct error *err, enum error_kind kind)
{
	assert_non_null(err);
	assert_string_equal(error_kind_name(err->kind), error_kind_name(kind));
}

static void what_is_sealed_is_opened(void **state)
{
	struct world *w = *state;
	static const size_t sizes[] = {0, 1, 1000, KIB(256) - 1, KIB(256), KIB(256) + 1, MIB(2)};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int how = 1; how < 4; how++) {
			struct slice content = text(w, sizes[i]);
			const struct seal_keys *keys = how & 1 ? &w->keys : &w->none;
			struct slice bytes = sealed(w, keys, how & 2, content);
			struct slice again = SLICE("");
			assert_true(seal_is_there(bytes));
			assert_null(opened(w, keys, w->id, bytes, &again));
			assert_true(slice_equal(again, content));
		}
}

static void compressed_content_is_smaller_and_random_content_hardly_larger(void **state)
{
	struct world *w = *state;
	struct slice content = text(w, MIB(1));
	assert_true(sealed(w, &w->keys, true, content).len < content.len / 10);
	struct slice random = sealed(w, &w->keys, false, content);
	assert_true(sealed(w, &w->keys, true, random).len < random.len + 512);
}

static void encrypted_content_does_not_show(void **state)
{
	struct world *w = *state;
	struct slice bytes = sealed(w, &w->keys, false, text(w, 1000));
	assert_true(slice_find(bytes, SLICE("sealed")) == bytes.len);
	bytes = sealed(w, &w->none, false, text(w, 1000));
	assert_true(slice_find(bytes, SLICE("sealed")) < bytes.len);
}

static void sealing_again_gives_the_same_bytes(void **state)
{
	struct world *w = *state;
	struct slice bytes = sealed(w, &w->keys, true, text(w, 1000));
	assert_true(slice_equal(sealed(w, &w->keys, true, text(w, 1000)), bytes));
	/* Other content of the same length, and the same content elsewhere, share nothing. */
	struct slice other = sealed(w, &w->keys, false, text(w, 1001));
	w->id.uuid = uuid_v7();
	struct slice moved = sealed(w, &w->keys, false, text(w, 1001));
	assert_int_equal(other.len, moved.len);
	assert_false(slice_equal(slice_from(other, 100), slice_from(moved, 100)));
}

static void content_under_another_id_is_damage(void **state)
{
	struct world *w = *state;
	struct slice bytes = sealed(w, &w->keys, false, text(w, 1000));
	struct slice content;
	then_kind_is(
		opened(w, &w->keys, (struct blob_id){uuid_v7()}, bytes, &content), ERR_CORRUPT);
}

static void old_keys_open_what_they_sealed(void **state)
{
	struct world *w = *state;
	struct seal_keys both, other;
	struct slice content;
	struct slice bytes = sealed(w, &w->keys, false, text(w, 1000));
	assert_null(seal_keys_parse(&w->op, SLICE("# newest first\n" KEY_TWO "\n" KEY_ONE), &both));
	assert_null(seal_keys_parse(&w->op, SLICE(KEY_TWO), &other));
	assert_null(opened(w, &both, w->id, bytes, &content));
	then_kind_is(opened(w, &other, w->id, bytes, &content), ERR_UNAVAILABLE);
	bytes = sealed(w, &both, false, text(w, 1000));
	assert_null(opened(w, &other, w->id, bytes, &content));
}

static void one_changed_byte_never_gives_other_content(void **state)
{
	struct world *w = *state;
	struct slice content = text(w, 500);
	for (int how = 1; how < 4; how++) {
		const struct seal_keys *keys = how & 1 ? &w->keys : &w->none;
		struct slice bytes = arena_dup(&w->op.arena, sealed(w, keys, how & 2, content));
		for (size_t i = 0; i < bytes.len; i++) {
			struct slice again = SLICE("");
			((char *)bytes.ptr)[i] ^= 0x10;
			struct error *err = opened(w, keys, w->id, bytes, &again);
			/* Without a key, its name stands there for nothing. */
			assert_true(err || (how == 2 && slice_equal(again, content)));
			((char *)bytes.ptr)[i] ^= 0x10;
		}
	}
}

static void what_is_cut_off_is_never_opened(void **state)
{
	struct world *w = *state;
	struct slice bytes = sealed(w, &w->keys, true, text(w, 700));
	struct slice content;
	for (size_t length = 0; length < bytes.len; length++)
		then_kind_is(opened(w, &w->keys, w->id, slice_range(bytes, 0, length), &content),
			ERR_CORRUPT);
}

static void keys_that_are_none_are_refused(void **state)
{
	static const struct slice wrong[] = {SLICE_INIT(""), SLICE_INIT("# nothing\n"),
		SLICE_INIT("first\n"), SLICE_INIT("first 00\n"),
		SLICE_INIT(
			"first 0001020304050607g8090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
		SLICE_INIT("a-name-that-is-too-long "
			   "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
		SLICE_INIT(KEY_ONE KEY_ONE)};
	struct world *w = *state;
	struct seal_keys keys;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		then_kind_is(seal_keys_parse(&w->op, wrong[i], &keys), ERR_INVALID);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(what_is_sealed_is_opened),
		CASE(compressed_content_is_smaller_and_random_content_hardly_larger),
		CASE(encrypted_content_does_not_show),
		CASE(sealing_again_gives_the_same_bytes),
		CASE(content_under_another_id_is_damage),
		CASE(old_keys_open_what_they_sealed),
		CASE(one_changed_byte_never_gives_other_content),
		CASE(what_is_cut_off_is_never_opened),
		CASE(keys_that_are_none_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

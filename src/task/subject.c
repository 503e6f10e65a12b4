#include "task/task.h"

#include "base/buf.h"

#define UID_MARK ";UID="

/* A path may hold anything, so the last mark counts, and only with a number behind it. */
static void take_uid(struct task_subject *subject)
{
	struct slice mark = SLICE(UID_MARK);
	for (size_t at = subject->path.len; at-- > 1;) {
		uint64_t uid;
		struct slice rest = slice_from(subject->path, at);
		if (!slice_starts_with(rest, mark))
			continue;
		if (slice_parse_u64(slice_from(rest, mark.len), &uid) && uid && uid <= UINT32_MAX) {
			subject->path = slice_range(subject->path, 0, at);
			subject->uid = (uint32_t)uid;
		}
		return;
	}
}

struct task_subject task_subject_parse(struct slice text)
{
	struct task_subject subject = {.address = text};
	size_t at = slice_find_char(text, '@');
	while (at < text.len && text.ptr[at] != '/')
		at++;
	if (at >= text.len)
		return subject;
	subject.address = slice_range(text, 0, at);
	subject.path = slice_from(text, at + 1);
	take_uid(&subject);
	return subject;
}

struct slice task_subject_print(struct arena *arena, const struct task_subject *subject)
{
	struct buf text = buf_in(arena);
	buf_append(&text, subject->address);
	if (subject->path.len)
		buf_printf(&text, "/" SLICE_FMT, SLICE_ARG(subject->path));
	if (subject->uid)
		buf_printf(&text, UID_MARK "%u", subject->uid);
	return buf_as_slice(&text);
}

#include "consistency/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/sync.h"

METRIC_GAUGE(open_entries, "ledger_entries", "Uncertain commits that are not resolved yet");
METRIC_GAUGE(oldest_entry_us, "ledger_oldest_recorded_microseconds",
	"When the oldest unresolved commit was recorded, 0 if there is none");
METRIC_COUNTER_LABELLED(settled_applied, "ledger_settled_total",
	"Uncertain commits resolved, by verdict", "verdict=\"applied\"");
METRIC_COUNTER_LABELLED(settled_not_applied, "ledger_settled_total",
	"Uncertain commits resolved, by verdict", "verdict=\"not_applied\"");

static const struct slice magic = SLICE_INIT("holdfast ledger 1\n");

enum record_kind { RECORD_OPEN = 1, RECORD_SETTLED = 2 };

struct open_entry {
	struct ledger_entry entry; /* slices point into `bytes` */
	char *bytes;
	struct open_entry *next;
};

struct ledger {
	struct mutex lock;
	int descriptor; /* -1: in memory */
	char *path;
	struct open_entry *first;
	size_t count;
	size_t settled_since_compaction;
	bool is_broken; /* a torn record stands in the file: it is written anew before the next one
			 */
};

static struct error *fail_io(struct op *op, const struct ledger *ledger, const char *what)
{
	return op_fail(op, ERR_UNAVAILABLE, "the ledger %s: cannot %s: %s", ledger->path, what,
		strerror(errno));
}

static void update_metrics(const struct ledger *ledger)
{
	metric_set(&open_entries, (int64_t)ledger->count);
	metric_set(&oldest_entry_us, ledger->first ? (int64_t)ledger->first->entry.recorded_us : 0);
}

static void encode_entry(const struct ledger_entry *entry, struct buf *out)
{
	buf_u8(out, RECORD_OPEN);
	buf_append(out, ID_SLICE(entry->operation));
	buf_append(out, ID_SLICE(entry->account));
	buf_u64(out, entry->expected_modseq);
	buf_u64(out, entry->modseq);
	buf_u64(out, entry->recorded_us);
	buf_slice(out, entry->once_key);
	buf_slice(out, entry->detail);
}

static bool read_id(struct reader *reader, struct uuid *ret_id)
{
	return uuid_from_slice(reader_bytes(reader, sizeof(*ret_id)), ret_id);
}

static bool decode_entry(struct reader *reader, struct ledger_entry *entry)
{
	bool ids = read_id(reader, &entry->operation.uuid) && read_id(reader, &entry->account.uuid);
	entry->expected_modseq = reader_u64(reader);
	entry->modseq = reader_u64(reader);
	entry->recorded_us = reader_u64(reader);
	entry->once_key = reader_slice(reader);
	entry->detail = reader_slice(reader);
	return ids && reader_is_complete(reader);
}

static void remember(struct ledger *ledger, struct slice payload)
{
	struct open_entry *open = HEAP_NEW(struct open_entry);
	open->bytes = heap_cstr(payload);
	struct reader reader = reader_of(slice_of(open->bytes, payload.len));
	reader_u8(&reader);
	decode_entry(&reader, &open->entry);
	struct open_entry **link = &ledger->first;
	while (*link)
		link = &(*link)->next;
	*link = open;
	ledger->count++;
}

static bool forget(struct ledger *ledger, struct operation_id operation)
{
	for (struct open_entry **link = &ledger->first; *link; link = &(*link)->next) {
		struct open_entry *open = *link;
		if (!ID_EQUAL(open->entry.operation, operation))
			continue;
		*link = open->next;
		free(open->bytes);
		free(open);
		ledger->count--;
		return true;
	}
	return false;
}

static struct error *write_record(
	struct op *op, struct ledger *ledger, struct slice payload, bool sync)
{
	if (ledger->descriptor < 0)
		return NULL;
	struct buf record = buf_in(&op->arena);
	buf_u32(&record, (uint32_t)payload.len);
	buf_u32(&record,
		(uint32_t)crc32(0, (const unsigned char *)payload.ptr, (unsigned)payload.len));
	buf_append(&record, payload);
	off_t before = lseek(ledger->descriptor, 0, SEEK_END);
	ssize_t written = write(ledger->descriptor, record.ptr, record.len);
	if (written == (ssize_t)record.len && (!sync || fdatasync(ledger->descriptor) == 0))
		return NULL;
	struct error *err = fail_io(op, ledger, "write");
	/* A torn record in the middle would hide those behind it. */
	if (before < 0 || ftruncate(ledger->descriptor, before) != 0) {
		ledger->is_broken = true;
		err = op_wrap(op, err, "and cannot be cut back");
	}
	return err;
}

static struct error *read_whole(struct op *op, const struct ledger *ledger, struct slice *ret_bytes)
{
	struct stat status;
	if (fstat(ledger->descriptor, &status) != 0)
		return fail_io(op, ledger, "stat");
	size_t size = (size_t)status.st_size;
	char *bytes = arena_alloc_raw(&op->arena, size);
	for (size_t done = 0; done < size;) {
		ssize_t got = pread(ledger->descriptor, bytes + done, size - done, (off_t)done);
		if (got <= 0)
			return fail_io(op, ledger, "read");
		done += (size_t)got;
	}
	*ret_bytes = slice_of(bytes, size);
	return NULL;
}

/* A last record may be torn: nobody was told of it. One with whole records behind it is damage, and
 * they must not be lost with it. */
static struct error *check_torn(struct op *op, const struct ledger *ledger, struct slice rest)
{
	for (size_t at = 0; at + 9 < rest.len; at++) {
		struct reader reader = reader_of(slice_from(rest, at));
		uint32_t len = reader_u32(&reader);
		uint32_t crc = reader_u32(&reader);
		struct slice payload = reader_bytes(&reader, len);
		if (payload.len &&
			crc32(0, (const unsigned char *)payload.ptr, (unsigned)payload.len) == crc)
			return op_fail(op, ERR_CORRUPT,
				"%s is damaged in its middle: move it away, keep it, and have the "
				"content audited",
				ledger->path);
	}
	return NULL;
}

static struct error *replay(struct op *op, struct ledger *ledger, struct slice bytes)
{
	struct reader reader = reader_of(bytes);
	if (!slice_equal(reader_bytes(&reader, magic.len), magic))
		return op_fail(op, ERR_CORRUPT, "%s is not a ledger", ledger->path);
	while (reader.rest.len) {
		size_t start = bytes.len - reader.rest.len;
		uint32_t len = reader_u32(&reader);
		uint32_t crc = reader_u32(&reader);
		struct slice payload = reader_bytes(&reader, len);
		if (reader.failed ||
			crc32(0, (const unsigned char *)payload.ptr, (unsigned)payload.len) != crc)
			return check_torn(op, ledger, slice_from(bytes, start + 1));
		struct reader body = reader_of(payload);
		struct ledger_entry entry;
		switch ((enum record_kind)reader_u8(&body)) {
		case RECORD_OPEN:
			if (!decode_entry(&body, &entry))
				return op_fail(op, ERR_CORRUPT,
					"%s holds a record that cannot be read", ledger->path);
			remember(ledger, payload);
			break;
		case RECORD_SETTLED:
			if (read_id(&body, &entry.operation.uuid))
				forget(ledger, entry.operation);
			break;
		default:
			return op_fail(op, ERR_CORRUPT, "%s holds a record of an unknown kind",
				ledger->path);
		}
	}
	return NULL;
}

static struct error *sync_folder_of(struct op *op, struct ledger *ledger)
{
	const char *slash = strrchr(ledger->path, '/');
	const char *folder = slash ? arena_cstr(&op->arena,
					     slice_of(ledger->path, (size_t)(slash - ledger->path)))
				   : ".";
	int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = descriptor >= 0 && fsync(descriptor) == 0;
	struct error *err = synced ? NULL : fail_io(op, ledger, "sync the folder of");
	if (descriptor >= 0)
		close(descriptor);
	return err;
}

/* Writes the open entries alone into a new file that takes the old one's place. */
static struct error *compact(struct op *op, struct ledger *ledger)
{
	const char *temporary = arena_printf(&op->arena, "%s.new", ledger->path);
	int descriptor = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (descriptor < 0)
		return fail_io(op, ledger, "make the successor of");
	int old = ledger->descriptor;
	ledger->descriptor = descriptor;
	struct error *err = NULL;
	if (write(descriptor, magic.ptr, magic.len) != (ssize_t)magic.len)
		err = fail_io(op, ledger, "write");
	for (struct open_entry *open = ledger->first; open && !err; open = open->next) {
		struct buf payload = buf_in(&op->arena);
		encode_entry(&open->entry, &payload);
		err = write_record(op, ledger, buf_as_slice(&payload), false);
	}
	if (!err && (fdatasync(descriptor) != 0 || rename(temporary, ledger->path) != 0))
		err = fail_io(op, ledger, "replace");
	if (err) {
		ledger->descriptor = old;
		close(descriptor);
		return err;
	}
	if (old >= 0)
		close(old);
	ledger->settled_since_compaction = 0;
	return sync_folder_of(op, ledger);
}

struct error *ledger_open(struct op *op, const char *path, struct ledger **ret_ledger)
{
	struct ledger *ledger = HEAP_NEW(struct ledger);
	mutex_init(&ledger->lock);
	ledger->descriptor = -1;
	struct error *err = NULL;
	if (path) {
		ledger->path = heap_cstr(slice_from_cstr(path));
		ledger->descriptor = open(path, O_RDWR | O_CLOEXEC);
		struct slice bytes;
		if (ledger->descriptor >= 0) {
			err = read_whole(op, ledger, &bytes);
			if (!err && bytes.len)
				err = replay(op, ledger, bytes);
		} else if (errno != ENOENT) {
			err = fail_io(op, ledger, "open");
		}
		if (!err)
			err = compact(op, ledger);
	}
	if (err) {
		ledger_close(ledger);
		return err;
	}
	update_metrics(ledger);
	*ret_ledger = ledger;
	return NULL;
}

void ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return;
	while (ledger->first)
		forget(ledger, ledger->first->entry.operation);
	if (ledger->descriptor >= 0)
		close(ledger->descriptor);
	free(ledger->path);
	mutex_done(&ledger->lock);
	free(ledger);
}

struct error *ledger_record(struct op *op, struct ledger *ledger, const struct ledger_entry *entry)
{
	struct buf payload = buf_in(&op->arena);
	encode_entry(entry, &payload);
	AUTO_LOCK(&ledger->lock);
	if (ledger->is_broken)
		TRY(compact(op, ledger));
	ledger->is_broken = false;
	TRY(write_record(op, ledger, buf_as_slice(&payload), true));
	remember(ledger, buf_as_slice(&payload));
	update_metrics(ledger);
	return NULL;
}

struct error *ledger_settle(
	struct op *op, struct ledger *ledger, struct operation_id operation, const char *verdict)
{
	struct buf payload = buf_in(&op->arena);
	buf_u8(&payload, RECORD_SETTLED);
	buf_append(&payload, ID_SLICE(operation));
	AUTO_LOCK(&ledger->lock);
	if (!forget(ledger, operation))
		return NULL;
	bool applied = strcmp(verdict, "applied") == 0;
	metric_add(applied ? &settled_applied : &settled_not_applied, 1);
	update_metrics(ledger);
	if (++ledger->settled_since_compaction > 1000 && ledger->descriptor >= 0)
		return compact(op, ledger);
	return write_record(op, ledger, buf_as_slice(&payload), false);
}

static void copy_entry(
	struct op *op, const struct ledger_entry *entry, struct ledger_entry *ret_copy)
{
	*ret_copy = *entry;
	ret_copy->once_key = arena_dup(&op->arena, entry->once_key);
	ret_copy->detail = arena_dup(&op->arena, entry->detail);
}

void ledger_list(
	struct op *op, struct ledger *ledger, struct ledger_entry **ret_entries, size_t *ret_count)
{
	AUTO_LOCK(&ledger->lock);
	*ret_entries =
		ARENA_ARRAY(&op->arena, struct ledger_entry, ledger->count ? ledger->count : 1);
	*ret_count = 0;
	for (struct open_entry *open = ledger->first; open; open = open->next)
		copy_entry(op, &open->entry, &(*ret_entries)[(*ret_count)++]);
}

size_t ledger_length(struct ledger *ledger)
{
	AUTO_LOCK(&ledger->lock);
	return ledger->count;
}

bool ledger_find_once(struct op *op, struct ledger *ledger, struct account_id account,
	struct slice once_key, struct ledger_entry *ret_entry)
{
	AUTO_LOCK(&ledger->lock);
	for (struct open_entry *open = ledger->first; open; open = open->next)
		if (ID_EQUAL(open->entry.account, account) && open->entry.once_key.len &&
			slice_equal(open->entry.once_key, once_key)) {
			copy_entry(op, &open->entry, ret_entry);
			return true;
		}
	return false;
}

#include "app/data_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char *data_directory_file(
	struct arena *arena, const struct data_directory *directory, const char *name)
{
	return arena_printf(arena, "%s/%s", directory->path, name);
}

static struct error *lock_directory(struct op *op, struct data_directory *directory)
{
	const char *path = data_directory_file(&op->arena, directory, "LOCK");
	directory->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (directory->lock < 0)
		return op_fail(op, ERR_UNAVAILABLE, "cannot open %s: %s", path, strerror(errno));
	if (flock(directory->lock, LOCK_EX | LOCK_NB) == 0)
		return NULL;
	return op_fail(op, ERR_EXISTS, "another holdfastd runs on %s", directory->path);
}

/* Written whole under another name first: what is half there would bar the data. */
static struct error *write_line(
	struct op *op, const struct data_directory *directory, const char *name, const char *line)
{
	const char *path = data_directory_file(&op->arena, directory, name);
	const char *new_path = arena_printf(&op->arena, "%s.new", path);
	FILE *file = fopen(new_path, "we");
	if (!file)
		return op_fail(
			op, ERR_UNAVAILABLE, "cannot write %s: %s", new_path, strerror(errno));
	bool written =
		fprintf(file, "%s\n", line) > 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
	written = fclose(file) == 0 && written;
	if (!written || rename(new_path, path) < 0)
		return op_fail(op, ERR_UNAVAILABLE, "cannot write %s: %s", path, strerror(errno));
	return NULL;
}

/* *ret_found false: there is no such file. */
static struct error *read_line(struct op *op, const struct data_directory *directory,
	const char *name, bool *ret_found, struct slice *ret_line)
{
	const char *path = data_directory_file(&op->arena, directory, name);
	FILE *file = fopen(path, "re");
	*ret_found = file != NULL;
	if (!file && errno == ENOENT)
		return NULL;
	if (!file)
		return op_fail(op, ERR_UNAVAILABLE, "cannot read %s: %s", path, strerror(errno));
	char text[64] = "";
	size_t len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	*ret_line = arena_dup(&op->arena, slice_trim(slice_of(text, len)));
	return NULL;
}

static struct error *write_format(
	struct op *op, const struct data_directory *directory, enum data_format format)
{
	return write_line(
		op, directory, DATA_FORMAT_FILE, arena_printf(&op->arena, "%d", (int)format));
}

/* *ret_format 0: there is none yet. */
static struct error *read_format(
	struct op *op, const struct data_directory *directory, uint32_t *ret_format)
{
	bool found;
	struct slice line;
	*ret_format = 0;
	TRY(read_line(op, directory, DATA_FORMAT_FILE, &found, &line));
	if (found && (!slice_parse_u32(line, ret_format) || *ret_format == 0))
		return op_fail(
			op, ERR_INVALID, "%s/FORMAT holds no format number", directory->path);
	return NULL;
}

static struct error *check_format(struct op *op, const struct data_directory *directory)
{
	uint32_t format;
	TRY(read_format(op, directory, &format));
	if (!format)
		return write_format(op, directory, DATA_FORMAT_FIRST);
	if (format > DATA_FORMAT)
		return op_fail(op, ERR_INVALID,
			"%s was written by a newer Holdfast: its format is %u, this one reads up "
			"to "
			"%d",
			directory->path, format, DATA_FORMAT);
	return NULL;
}

struct error *data_directory_open(
	struct op *op, const char *path, struct data_directory *ret_directory)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return op_fail(op, ERR_UNAVAILABLE, "cannot make %s: %s", path, strerror(errno));
	struct data_directory directory = {.path = path, .lock = -1};
	struct error *err = lock_directory(op, &directory);
	if (!err)
		err = check_format(op, &directory);
	if (err) {
		data_directory_close(&directory);
		return err;
	}
	*ret_directory = directory;
	return NULL;
}

struct error *data_directory_need_format(
	struct op *op, const struct data_directory *directory, enum data_format format)
{
	uint32_t now;
	TRY(read_format(op, directory, &now));
	return now < (uint32_t)format ? write_format(op, directory, format) : NULL;
}

void data_directory_close(struct data_directory *directory)
{
	if (directory->lock >= 0)
		close(directory->lock);
	directory->lock = -1;
}

struct error *data_directory_node_id(
	struct op *op, const struct data_directory *directory, struct uuid *ret_id)
{
	bool found;
	struct slice line;
	TRY(read_line(op, directory, DATA_NODE, &found, &line));
	if (found && uuid_parse(line, ret_id))
		return NULL;
	if (found)
		return op_fail(op, ERR_INVALID, "%s/NODE holds no node's id", directory->path);
	*ret_id = uuid_v7();
	return write_line(op, directory, DATA_NODE, uuid_text(&op->arena, *ret_id));
}

#include "session/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/metric.h"
#include "session/session_private.h"

METRIC_COUNTER(spool_files, "spool_files_total", "Bodies that went to a file");
METRIC_COUNTER(spool_failures, "spool_failures_total", "Bodies that the disk did not take");

#define IN_MEMORY_MAX KIB(64)

struct spool {
	uint64_t size;     /* all bytes */
	struct buf memory; /* those not in the file yet */
	int fd;            /* -1: no file */
	int failure;       /* errno of the first failed write */
	void *mapped;
	size_t mapped_size;
};

struct spool *spool_new(void)
{
	struct spool *spool = HEAP_NEW(struct spool);
	*spool = (struct spool){.fd = -1, .memory = buf_heap()};
	return spool;
}

static void unmap(struct spool *spool)
{
	if (spool->mapped)
		munmap(spool->mapped, spool->mapped_size);
	spool->mapped = NULL;
}

void spool_free(struct spool *spool)
{
	if (!spool)
		return;
	unmap(spool);
	if (spool->fd >= 0)
		close(spool->fd);
	buf_done(&spool->memory);
	free(spool);
}

static int open_unnamed(void)
{
	const char *directory =
		session_config.spool_directory ? session_config.spool_directory : "/tmp";
	return open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* Moves what is in memory to the file's end. */
static void spill(struct spool *spool)
{
	if (spool->fd < 0) {
		spool->fd = open_unnamed();
		metric_add(&spool_files, 1);
	}
	struct slice rest = buf_as_slice(&spool->memory);
	while (spool->fd >= 0 && rest.len) {
		ssize_t written = write(spool->fd, rest.ptr, rest.len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			break;
		rest = slice_from(rest, (size_t)written);
	}
	if (rest.len) {
		spool->failure = errno ? errno : EIO;
		metric_add(&spool_failures, 1);
	}
	spool->memory.len = 0;
}

void spool_append(struct spool *spool, struct slice bytes)
{
	spool->size += bytes.len;
	if (spool->failure)
		return;
	unmap(spool);
	buf_append(&spool->memory, bytes);
	if (spool->memory.len > IN_MEMORY_MAX)
		spill(spool);
}

uint64_t spool_size(const struct spool *spool)
{
	return spool->size;
}

struct error *spool_view(struct op *op, struct spool *spool, struct slice *ret_bytes)
{
	if (spool->fd >= 0 && spool->memory.len)
		spill(spool);
	if (spool->failure)
		return op_fail(op, ERR_UNAVAILABLE, "spool a body of %llu bytes: %s",
			(unsigned long long)spool->size, strerror(spool->failure));
	if (spool->fd < 0) {
		*ret_bytes = buf_as_slice(&spool->memory);
		return NULL;
	}
	if (!spool->mapped) {
		void *mapped =
			mmap(NULL, (size_t)spool->size, PROT_READ, MAP_PRIVATE, spool->fd, 0);
		if (mapped == MAP_FAILED)
			return op_fail(op, ERR_UNAVAILABLE, "map a body of %llu bytes: %s",
				(unsigned long long)spool->size, strerror(errno));
		spool->mapped = mapped;
		spool->mapped_size = (size_t)spool->size;
	}
	*ret_bytes = slice_of(spool->mapped, spool->mapped_size);
	return NULL;
}

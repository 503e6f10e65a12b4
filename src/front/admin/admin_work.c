#include "front/admin/admin_work.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/sync.h"

struct admin_work {
	void (*run)(void *context, struct admin_job *job);
	void *context;
	pthread_t *threads;
	unsigned thread_count;
	struct mutex lock;
	struct condition changed;
	/* Under lock */
	struct admin_job *jobs; /* ascending by due_ns */
	unsigned begun;         /* and not ended */
	bool is_hurried;
	bool is_ending;
};

/* With the lock held: what is due, taken off the queue; NULL when it is time to end. */
static struct admin_job *next_job(struct admin_work *work)
{
	for (;;) {
		struct admin_job *job = work->jobs;
		if (job && (work->is_hurried || job->due_ns <= clock_monotonic_ns())) {
			work->jobs = job->next;
			return job;
		}
		if (work->is_ending)
			return NULL;
		if (job)
			condition_wait_until(&work->changed, &work->lock, job->due_ns);
		else
			condition_wait(&work->changed, &work->lock);
	}
}

static void *work_on(void *argument)
{
	struct admin_work *work = argument;
	struct admin_job *job;
	mutex_lock(&work->lock);
	while ((job = next_job(work))) {
		mutex_unlock(&work->lock);
		work->run(work->context, job);
		mutex_lock(&work->lock);
	}
	mutex_unlock(&work->lock);
	return NULL;
}

struct admin_work *admin_work_new(
	unsigned threads, void (*run)(void *context, struct admin_job *job), void *context)
{
	struct admin_work *work = HEAP_NEW(struct admin_work);
	*work = (struct admin_work){.run = run, .context = context, .thread_count = threads};
	mutex_init(&work->lock);
	condition_init(&work->changed);
	work->threads = heap_realloc(NULL, threads * sizeof(*work->threads));
	for (unsigned i = 0; i < threads; i++)
		thread_start(&work->threads[i], "admin", work_on, work);
	return work;
}

bool admin_work_begin(struct admin_work *work)
{
	AUTO_LOCK(&work->lock);
	work->begun += !work->is_hurried;
	return !work->is_hurried;
}

void admin_work_end(struct admin_work *work)
{
	AUTO_LOCK(&work->lock);
	work->begun--;
	condition_broadcast(&work->changed);
}

void admin_work_add(struct admin_work *work, struct admin_job *job, uint64_t due_ns)
{
	AUTO_LOCK(&work->lock);
	struct admin_job **link = &work->jobs;
	job->due_ns = due_ns;
	while (*link && (*link)->due_ns <= due_ns)
		link = &(*link)->next;
	job->next = *link;
	*link = job;
	condition_broadcast(&work->changed);
}

void admin_work_finish(struct admin_work *work)
{
	AUTO_LOCK(&work->lock);
	work->is_hurried = true;
	condition_broadcast(&work->changed);
	while (work->begun)
		condition_wait(&work->changed, &work->lock);
}

void admin_work_free(struct admin_work *work)
{
	if (!work)
		return;
	mutex_lock(&work->lock);
	work->is_ending = true;
	condition_broadcast(&work->changed);
	mutex_unlock(&work->lock);
	for (unsigned i = 0; i < work->thread_count; i++)
		thread_join(work->threads[i]);
	condition_done(&work->changed);
	mutex_done(&work->lock);
	free(work->threads);
	free(work);
}

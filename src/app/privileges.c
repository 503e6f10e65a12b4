#include "app/privileges.h"

#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

static struct error *find_user(struct op *op, const char *user, struct passwd *ret_user)
{
	struct passwd *found;
	size_t size = KIB(16);
	char *strings = arena_alloc(&op->arena, size);
	if (getpwnam_r(user, ret_user, strings, size, &found) != 0 || !found)
		return op_fail(op, ERR_INVALID, "there is no user \"%s\"", user);
	return NULL;
}

struct error *privileges_check(struct op *op, const char *user)
{
	struct passwd found;
	if (geteuid() != 0)
		return NULL;
	if (!user)
		return op_fail(op, ERR_INVALID,
			"started as root, but the setting \"user\" does not say whom to become");
	return find_user(op, user, &found);
}

/* nftw has no argument to hand through; it runs once, before any other thread. */
static struct passwd new_owner;

static int give_one(const char *path, const struct stat *stat, int type, struct FTW *place)
{
	return lchown(path, new_owner.pw_uid, new_owner.pw_gid);
}

struct error *privileges_give(struct op *op, const char *user, const char *directory)
{
	if (geteuid() != 0 || !user)
		return NULL;
	TRY(find_user(op, user, &new_owner));
	if (new_owner.pw_uid == 0)
		return NULL;
	if (nftw(directory, give_one, 16, FTW_PHYS) != 0)
		return op_fail(op, ERR_UNAVAILABLE, "cannot give %s to %s: %s", directory, user,
			strerror(errno));
	return NULL;
}

struct error *privileges_drop(struct op *op, const char *user)
{
	struct passwd found;
	if (geteuid() != 0)
		return NULL;
	TRY(find_user(op, user, &found));
	if (found.pw_uid == 0)
		return NULL;
	if (initgroups(user, found.pw_gid) < 0 || setgid(found.pw_gid) < 0 ||
		setuid(found.pw_uid) < 0)
		return op_fail(op, ERR_UNAVAILABLE, "cannot become %s: %s", user, strerror(errno));
	/* If the way back were open, nothing would be dropped. */
	if (setuid(0) == 0)
		return op_fail(op, ERR_INTERNAL, "still root after becoming %s", user);
	return NULL;
}

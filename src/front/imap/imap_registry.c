#include "front/imap/imap_registry.h"

#include "front/imap/imap_private.h"

#define OUT IMAP_NOT_AUTHED
#define IN IMAP_SIGNED_IN
#define BOX IMAP_SELECTED
#define PIPE IMAP_ENDS_PIPELINE
#define UID IMAP_HAS_UID_FORM
#define KEEPS IMAP_KEEPS_SEQUENCE
#define QUIET IMAP_NO_UPDATE
#define SHOWS IMAP_ONLY_SHOWS
#define SIGNS (IMAP_TRIES_SIGN_IN | IMAP_ENDS_PIPELINE | IMAP_ENDS_BY_ITSELF | SHOWS)

/* clang-format off */
static const struct imap_command commands[] = {
	/* name                        handler            allowed in  lane        flags */
	{SLICE_INIT("APPEND"),         imap_append,       IN,         LANE_STORE, IMAP_SPOOLS_LITERAL},
	{SLICE_INIT("AUTHENTICATE"),   imap_authenticate, OUT,        LANE_AUTH,  SIGNS},
	{SLICE_INIT("CANCELUPDATE"),   imap_cancelupdate, BOX,        LANE_QUICK, QUIET},
	{SLICE_INIT("CAPABILITY"),     imap_capability,   IMAP_ANY,   LANE_QUICK, QUIET},
	{SLICE_INIT("CHECK"),          imap_noop,         BOX,        LANE_STORE, SHOWS},
	{SLICE_INIT("CLOSE"),          imap_close,        BOX,        LANE_STORE, QUIET},
	{SLICE_INIT("COMPRESS"),       imap_compress,     IN,         LANE_QUICK, PIPE | QUIET},
	{SLICE_INIT("COPY"),           imap_copy,         BOX,        LANE_STORE, UID},
	{SLICE_INIT("CREATE"),         imap_create,       IN,         LANE_STORE, 0},
	{SLICE_INIT("DELETE"),         imap_delete,       IN,         LANE_STORE, 0},
	{SLICE_INIT("DELETEACL"),      imap_deleteacl,    IN,         LANE_STORE, 0},
	{SLICE_INIT("ENABLE"),         imap_enable,       IMAP_AUTHED, LANE_QUICK, QUIET},
	{SLICE_INIT("EXAMINE"),        imap_examine,      IN,         LANE_STORE, QUIET | SHOWS},
	{SLICE_INIT("EXPUNGE"),        imap_expunge,      BOX,        LANE_STORE, UID},
	{SLICE_INIT("FETCH"),          imap_fetch,        BOX,        LANE_BULK,  UID | KEEPS | SHOWS},
	{SLICE_INIT("GETACL"),         imap_getacl,       IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("GETMETADATA"),    imap_getmetadata,  IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("GETQUOTA"),       imap_getquota,     IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("GETQUOTAROOT"),   imap_getquotaroot, IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("ID"),             imap_id,           IMAP_ANY,   LANE_QUICK, QUIET},
	{SLICE_INIT("IDLE"),           imap_idle,         IN,         LANE_STORE, PIPE | IMAP_ENDS_BY_ITSELF | SHOWS},
	{SLICE_INIT("LIST"),           imap_list,         IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("LISTRIGHTS"),     imap_listrights,   IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("LOGIN"),          imap_login,        OUT,        LANE_AUTH,  SIGNS},
	{SLICE_INIT("LOGOUT"),         imap_logout,       IMAP_ANY,   LANE_QUICK, PIPE | QUIET},
	{SLICE_INIT("LSUB"),           imap_lsub,         IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("MOVE"),           imap_move,         BOX,        LANE_STORE, UID},
	{SLICE_INIT("MYRIGHTS"),       imap_myrights,     IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("NAMESPACE"),      imap_namespace,    IN,         LANE_QUICK, QUIET},
	{SLICE_INIT("NOOP"),           imap_noop,         IMAP_ANY,   LANE_STORE, SHOWS},
	{SLICE_INIT("NOTIFY"),         imap_notify,       IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("RENAME"),         imap_rename,       IN,         LANE_STORE, 0},
	{SLICE_INIT("REPLACE"),        imap_replace,      BOX,        LANE_STORE, UID | IMAP_SPOOLS_LITERAL},
	{SLICE_INIT("SEARCH"),         imap_search,       BOX,        LANE_BULK,  UID | KEEPS | SHOWS},
	{SLICE_INIT("SELECT"),         imap_select,       IN,         LANE_STORE, QUIET | SHOWS},
	{SLICE_INIT("SETACL"),         imap_setacl,       IN,         LANE_STORE, 0},
	{SLICE_INIT("SETMETADATA"),    imap_setmetadata,  IN,         LANE_STORE, 0},
	{SLICE_INIT("SETQUOTA"),       imap_setquota,     IN,         LANE_QUICK, QUIET},
	{SLICE_INIT("SORT"),           imap_sort,         BOX,        LANE_BULK,  UID | KEEPS | SHOWS},
	{SLICE_INIT("STARTTLS"),       imap_starttls,     OUT,        LANE_QUICK, PIPE},
	{SLICE_INIT("STATUS"),         imap_status,       IN,         LANE_STORE, SHOWS},
	{SLICE_INIT("STORE"),          imap_store,        BOX,        LANE_STORE, UID | KEEPS},
	{SLICE_INIT("SUBSCRIBE"),      imap_subscribe,    IN,         LANE_STORE, 0},
	{SLICE_INIT("THREAD"),         imap_thread,       BOX,        LANE_BULK,  UID | KEEPS | SHOWS},
	{SLICE_INIT("UNAUTHENTICATE"), imap_unauthenticate, IN,       LANE_QUICK, PIPE | QUIET},
	{SLICE_INIT("UNSELECT"),       imap_unselect,     BOX,        LANE_QUICK, QUIET},
	{SLICE_INIT("UNSUBSCRIBE"),    imap_unsubscribe,  IN,         LANE_STORE, 0},
};
/* clang-format on */

const struct imap_command *imap_command_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (slice_equal_nocase(name, commands[i].name))
			return &commands[i];
	return NULL;
}

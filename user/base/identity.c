// SPDX-License-Identifier: BSD-2-Clause
#include "base/identity.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int identity__find(struct identity *identity, const char *name)
{
	struct passwd entry, *found = NULL;
	char text[4096];
	int err;

	*identity = (struct identity){ .wanted = true };
	if (strlen(name) >= sizeof(identity->name))
		return -ENOENT;
	err = getpwnam_r(name, &entry, text, sizeof(text), &found);
	if (!found)
		return err ? -err : -ENOENT;
	strcpy(identity->name, name);
	identity->uid = entry.pw_uid;
	identity->gid = entry.pw_gid;
	return 0;
}

/* Who is that user already needs no privilege for it. */
static int change_user(const struct identity *identity)
{
	if (!identity->wanted || (geteuid() == identity->uid && getuid() == identity->uid))
		return 0;
	if (initgroups(identity->name, identity->gid) ||
	    setresgid(identity->gid, identity->gid, identity->gid))
		return -errno;
	/* The capabilities that are kept outlast the change; the rest goes below. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setresuid(identity->uid, identity->uid, identity->uid))
		return -errno;
	return 0;
}

/* What of keep there is; then nothing else is there. */
static int narrow_capabilities(uint64_t keep)
{
	uint64_t had = 0;

	if (capng_get_caps_process())
		return -errno;
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (capng_have_capability(CAPNG_PERMITTED, cap))
			had |= CAPABILITY(cap);
	capng_clear(CAPNG_SELECT_CAPS);
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (keep & had & CAPABILITY(cap))
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, cap);
	if (capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	if (capng_get_caps_process())
		return -errno;
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (!(keep & CAPABILITY(cap)) && capng_have_capability(CAPNG_PERMITTED, cap))
			return -EPERM;
	return 0;
}

int identity__become(const struct identity *identity, uint64_t keep)
{
	int err;

	if (capng_get_caps_process())
		return -errno;
	/* Without CAP_SETPCAP the set stays (and the library would say so itself): with
	 * no_new_privs it is without effect. */
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
		capng_clear(CAPNG_SELECT_BOUNDS);
		capng_apply(CAPNG_SELECT_BOUNDS);
	}
	err = change_user(identity);
	if (!err)
		err = narrow_capabilities(keep);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	return err;
}

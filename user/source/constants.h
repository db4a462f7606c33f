/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Settings of the BPF programs, written into the instructions that ask for them
 * (bpf/settings.h).
 */
#ifndef TCPSAGA_SOURCE_CONSTANTS_H
#define TCPSAGA_SOURCE_CONSTANTS_H

#include <bpf/libbpf.h>
#include <stdint.h>

#include "bpf/settings.h"

/* For all programs that will be loaded; before the load. 0 or -errno: -EINVAL when one asks
 * for a setting that there is not. */
int constants__put(const struct bpf_object *object, const uint64_t values[SETTING_COUNT]);

#endif

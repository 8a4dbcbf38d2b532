/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NC2_LINUX_STRING_H
#define NC2_LINUX_STRING_H

#include <string.h>

#include "nc2_shim.h"

#define memcpy(to, from, n)	nc2_shim_copy(to, from, n)

#endif /* NC2_LINUX_STRING_H */

// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "td_log.h"
#include "vbd.h"

static const struct td_driver *const td_drivers[] = {
	&td_driver_aio,
	&td_driver_vhd,
	&td_driver_ram,
	&td_driver_null,
};

#define TD_NR_DRIVERS	((int)(sizeof(td_drivers) / sizeof(td_drivers[0])))

const struct td_driver *td_driver_find(const char *name, const char **path)
{
	const char *colon = strchr(name, ':');
	char types[64] = "";
	int i;

	for (i = 0; i < TD_NR_DRIVERS; i++) {
		size_t len = strlen(td_drivers[i]->name);

		if (colon && len == (size_t)(colon - name) &&
		    !strncmp(td_drivers[i]->name, name, len)) {
			*path = colon + 1;
			return td_drivers[i];
		}
		snprintf(types + strlen(types), sizeof(types) - strlen(types),
			 " %s", td_drivers[i]->name);
	}
	td_err("%s: must be TYPE:PATH, TYPE one of%s", name, types);
	return NULL;
}

int td_driver_index(const struct td_driver *drv)
{
	int i;

	for (i = 0; i < TD_NR_DRIVERS && td_drivers[i] != drv; i++)
		;
	return i;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Counters of a disk as JSON, with the keys of the 2.x tapdisk.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "td_utf8.h"
#include "vbd.h"

static struct json_object *td_stats_pair(uint64_t a, uint64_t b)
{
	struct json_object *pair = json_object_new_array();

	json_object_array_add(pair, json_object_new_uint64(a));
	json_object_array_add(pair, json_object_new_uint64(b));
	return pair;
}

/* Names of files are bytes, JSON is UTF-8. */
static struct json_object *td_stats_name(const char *name)
{
	bool changed;
	char *utf8 = td_utf8_text(name, &changed);
	struct json_object *obj = json_object_new_string(utf8 ? utf8 : "");

	free(utf8);
	return obj;
}

static void td_stats_image(struct json_object *images, const char *name,
			   const struct td_driver *drv, void *priv,
			   const struct td_vbd_stats *stats)
{
	struct json_object *image = json_object_new_object();
	struct json_object *driver = json_object_new_object();

	json_object_object_add(image, "name", td_stats_name(name));
	json_object_object_add(image, "hits", td_stats_pair(stats->secs[0],
							    stats->secs[1]));
	json_object_object_add(image, "fail", td_stats_pair(stats->fail[0],
							    stats->fail[1]));
	json_object_object_add(driver, "type",
			       json_object_new_int(td_driver_index(drv)));
	json_object_object_add(driver, "name",
			       json_object_new_string(drv->name));
	json_object_object_add(driver, "status", NULL);
	json_object_object_add(image, "driver", driver);
	if (drv->stats)
		drv->stats(priv, image);
	json_object_array_add(images, image);
}

static struct json_object *td_stats_vbd(const struct td_vbd *v)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *images = json_object_new_array();
	struct json_object *tap = json_object_new_object();
	const struct td_vbd_stats second = {
		.secs = { 0, v->stats.second_secs },
		.fail = { 0, v->more.failed },
	};
	bool mirror = v->more.flags & TD_CTL_SECONDARY &&
		      !(v->more.flags & TD_CTL_STANDBY);

	json_object_object_add(obj, "name", td_stats_name(v->name));
	json_object_object_add(obj, "secs", td_stats_pair(v->stats.secs[0],
							  v->stats.secs[1]));
	if (v->drv)
		td_stats_image(images, td_second_image(v), v->drv, v->priv,
			       &v->stats);
	if (v->second.drv)
		td_stats_image(images, v->more.second, v->second.drv,
			       v->second.priv, &second);
	json_object_object_add(obj, "images", images);
	json_object_object_add(tap, "minor", json_object_new_int(v->minor));
	json_object_object_add(tap, "reqs", td_stats_pair(v->stats.reqs_in,
							  v->stats.reqs_out));
	json_object_object_add(tap, "kicks", td_stats_pair(v->stats.events,
							   v->stats.xfers));
	json_object_object_add(obj, "tap", tap);
	json_object_object_add(obj, "FIXME_enospc_redirect_count",
			       json_object_new_uint64(v->stats.redirects));
	json_object_object_add(obj, "nbd_mirror_failed",
			       json_object_new_int(mirror && v->more.failed));
	return obj;
}

char *td_vbd_stats(const struct td_vbd *vbd)
{
	struct json_object *obj;
	const char *text;
	char *copy = NULL;

	if (vbd) {
		obj = td_stats_vbd(vbd);
	} else {
		obj = json_object_new_array();
		for (vbd = td_vbds; vbd; vbd = vbd->next)
			json_object_array_add(obj, td_stats_vbd(vbd));
	}
	text = json_object_to_json_string_ext(obj, JSON_C_TO_STRING_SPACED |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text && asprintf(&copy, "%s\n", text) < 0)
		copy = NULL;
	json_object_put(obj);
	return copy;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: which vifs are for this driver.
 *
 * Design: xen-netfront and xen-netback take each vif they are asked about, and
 * who is asked first depends on who was loaded first. So this driver does not
 * wait to be asked: it looks at each device when it appears, before the others
 * are asked, and, when it is loaded, at all that are there, taking those that
 * are for it from who has them. Its table of ids is empty but for the moment
 * at which it is attached to such a device, so that it is never asked about
 * others; the answer would be an error that is logged and written to xenstore.
 */
#include <linux/device.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <xen/xenbus.h>

#include "nc2.h"

#define NC2_SCRIPT	"vif-nc2"

static DEFINE_MUTEX(nc2_claim_lock);

static bool nc2_script_is_ours(const char *script)
{
	const char *base = kbasename(script);
	size_t len = strlen(NC2_SCRIPT);

	return !strncmp(base, NC2_SCRIPT, len) && (base[len] == '\0' || base[len] == '-');
}

/**
 * nc2_is_ours - is a vif offered over netchannel2?
 * @xbdev: device of either end
 *
 * By what is in the backend's folder, which the guest cannot write to.
 *
 * Context: process. Return: true if so.
 */
bool nc2_is_ours(struct xenbus_device *xbdev)
{
	const char *dir = xbdev->nodename;
	char *backend = NULL, *script;
	bool ours;

	if (strncmp(dir, "backend/", 8)) {
		backend = xenbus_read(XBT_NIL, dir, "backend", NULL);
		if (IS_ERR(backend))
			return false;
		dir = backend;
	}
	ours = xenbus_read_unsigned(dir, "feature-netchannel2", 0) == NC2_VERSION;
	script = xenbus_read(XBT_NIL, dir, "script", NULL);
	if (!IS_ERR(script)) {
		ours |= nc2_script_is_ours(script);
		kfree(script);
	}
	kfree(backend);
	return ours;
}

static int nc2_claim_device(struct device *dev, void *data)
{
	struct xenbus_device *xbdev = to_xenbus_device(dev);
	struct nc2_claim *claim = data;

	if (strcmp(xbdev->devicetype, "vif") || !nc2_is_ours(xbdev))
		return 0;
	device_release_driver(dev);
	mutex_lock(&nc2_claim_lock);
	strscpy(claim->ids[0].devicetype, "vif", sizeof(claim->ids[0].devicetype));
	if (device_driver_attach(&claim->drv->driver, dev))
		dev_err(dev, "cannot be attached to netchannel2\n");
	claim->ids[0].devicetype[0] = '\0';
	mutex_unlock(&nc2_claim_lock);
	return 0;
}

static int nc2_claim_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	struct nc2_claim *claim = container_of(nb, struct nc2_claim, nb);

	if (event == BUS_NOTIFY_ADD_DEVICE)
		nc2_claim_device(data, claim);
	return NOTIFY_DONE;
}

/**
 * nc2_claim_start - take the vifs that are there, and those to come
 * @claim: claim of a driver that is registered
 *
 * Context: process.
 */
void nc2_claim_start(struct nc2_claim *claim)
{
	claim->nb.notifier_call = nc2_claim_notify;
	bus_register_notifier(claim->drv->driver.bus, &claim->nb);
	bus_for_each_dev(claim->drv->driver.bus, NULL, claim, nc2_claim_device);
}

/**
 * nc2_claim_stop - take no more vifs
 * @claim: claim that was started
 *
 * Context: process.
 */
void nc2_claim_stop(struct nc2_claim *claim)
{
	bus_unregister_notifier(claim->drv->driver.bus, &claim->nb);
}

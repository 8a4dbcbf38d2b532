// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: which vifs are for this driver.
 *
 * Design: xen-netfront and xen-netback take each vif they are asked about, and
 * who is asked first depends on who was loaded first. So this driver does not
 * wait to be asked: it looks at each device when it appears, before any driver
 * is asked, and gives those that are for it a device type of their own, which
 * it alone has in its table. When it is loaded, it does so with all that are
 * there, taking them from who has them. The type is the kernel's own name for
 * the device; nothing in xenstore changes.
 */
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <xen/xenbus.h>

#include "nc2.h"

#define NC2_SCRIPT	"vif-nc2"

static const char nc2_type[] = "netchannel2";

/* Of both ends. */
const struct xenbus_device_id nc2_ids[] = {
	{ .devicetype = "netchannel2" },
	{ }
};

static bool nc2_script_is_ours(const char *script)
{
	const char *base = kbasename(script);
	size_t len = strlen(NC2_SCRIPT);

	return !strncmp(base, NC2_SCRIPT, len) && (base[len] == '\0' || base[len] == '-');
}

/*
 * Is a vif offered over netchannel2? By what is in the backend's folder, which the
 * guest cannot write to.
 */
static bool nc2_is_ours(struct xenbus_device *xbdev)
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
	/* Of any version: a vif that is offered so is nobody else's. */
	ours = xenbus_read_unsigned(dir, "feature-netchannel2", 0);
	script = xenbus_read(XBT_NIL, dir, "script", NULL);
	if (!IS_ERR(script)) {
		ours |= nc2_script_is_ours(script);
		kfree(script);
	}
	kfree(backend);
	return ours;
}

/* Nobody else is to be asked about the device, if it is for us; true if so. */
static bool nc2_claim_device(struct device *dev)
{
	struct xenbus_device *xbdev = to_xenbus_device(dev);

	if (strcmp(xbdev->devicetype, "vif") || !nc2_is_ours(xbdev))
		return false;
	/* Where the type is in the device's own memory, for who comes after us. */
	dev->platform_data = (void *)xbdev->devicetype;
	xbdev->devicetype = nc2_type;
	return true;
}

/* When a device appears it cannot be attached yet, but is about to be. */
static int nc2_claim_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == BUS_NOTIFY_ADD_DEVICE)
		nc2_claim_device(data);
	return NOTIFY_DONE;
}

static int nc2_claim_present(struct device *dev, void *data)
{
	if (!nc2_claim_device(dev))
		return 0;
	device_release_driver(dev);
	if (device_attach(dev) != 1)
		dev_err(dev, "cannot be attached to netchannel2\n");
	return 0;
}

static int nc2_unclaim(struct device *dev, void *data)
{
	struct xenbus_device *xbdev = to_xenbus_device(dev);

	if (xbdev->devicetype == nc2_type)
		xbdev->devicetype = dev->platform_data;
	return 0;
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
	bus_for_each_dev(claim->drv->driver.bus, NULL, NULL, nc2_claim_present);
}

/**
 * nc2_claim_stop - take no more vifs, and leave those there are as they were
 * @claim: claim that was started
 *
 * Context: process. The driver still has its devices.
 */
void nc2_claim_stop(struct nc2_claim *claim)
{
	bus_unregister_notifier(claim->drv->driver.bus, &claim->nb);
	bus_for_each_dev(claim->drv->driver.bus, NULL, NULL, nc2_unclaim);
}

/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_DEVICE_CLASS_H
#define _COMPAT_LINUX_DEVICE_CLASS_H

#include_next <linux/device/class.h>
#include <linux/version.h>

/* 6.2, ff62b8e6588f ("driver core: make struct class.devnode() take a const *"). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define blktap_class_devnode(...)					\
	compat_class_devnode(__VA_ARGS__);				\
	static char *(blktap_class_devnode)(struct device *dev,		\
					    umode_t *mode)		\
	{								\
		return compat_class_devnode(dev, mode);			\
	}								\
	static char *compat_class_devnode(__VA_ARGS__)
#endif

/*
 * 6.4, 75cff725d956 ("driver core: bus: mark the struct bus_type ... const")
 * and its like: the parameters of class attributes are const.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define COMPAT_CLASS_SHOW(_name)					\
	ssize_t compat_##_name##_show(struct class *class,		\
					     struct class_attribute *attr, \
					     char *buf)			\
	{								\
		return _name##_show(class, attr, buf);			\
	}
#define COMPAT_CLASS_STORE(_name)					\
	static ssize_t compat_##_name##_store(struct class *class,	\
					      struct class_attribute *attr, \
					      const char *buf, size_t count) \
	{								\
		return _name##_store(class, attr, buf, count);		\
	}
#undef CLASS_ATTR_RO
#define CLASS_ATTR_RO(_name)						\
	COMPAT_CLASS_SHOW(_name)					\
	static struct class_attribute class_attr_##_name =		\
		__ATTR(_name, 0444, compat_##_name##_show, NULL)
#undef CLASS_ATTR_RW
#define CLASS_ATTR_RW(_name)						\
	COMPAT_CLASS_SHOW(_name)					\
	COMPAT_CLASS_STORE(_name)					\
	static struct class_attribute class_attr_##_name =		\
		__ATTR(_name, 0644, compat_##_name##_show,		\
		       compat_##_name##_store)
#endif

#endif /* _COMPAT_LINUX_DEVICE_CLASS_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: page pools.
 *
 * In 2.0.91 the data of a request was copied to and from pages of a pool, which
 * several taps shared; here each tap has its own pages. What is left of a pool is
 * its purpose, a limit on how much the servers of some taps are given to do at a
 * time. Direct mode does not use pools.
 *
 * A request waits until the pages of the requests in flight of all taps of its
 * pool, its own included, are no more than the size of the pool. But servers
 * that do not answer hold their pages for ever, and must not stop the others:
 * each tap gets its equal share of the size, and no less than one request needs,
 * whatever the others hold.
 *
 * A pool comes into being when it is first named, and stays.
 */
#define pr_fmt(fmt) "blktap2: " fmt

#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "blktap.h"

#define BLKTAP_POOLS_MAX	64
#define BLKTAP_POOL_NAME_MAX	64

/* Protects the list, its length and the default. */
static DEFINE_MUTEX(blktap_pools_lock);
static LIST_HEAD(blktap_pools);
static unsigned int blktap_nr_pools;
static struct blktap_pool *blktap_default_pool;
static struct kobject *blktap_pools_dir;

static struct blktap_pool *blktap_pool_of(struct kobject *kobj)
{
	return container_of(kobj, struct blktap_pool, kobj);
}

/* There is more room: let those try again who found none. */
static void blktap_pool_wake(struct blktap_pool *pool)
	__must_hold(&pool->lock)
{
	struct blktap *tap, *next;

	lockdep_assert_held(&pool->lock);
	list_for_each_entry_safe(tap, next, &pool->starved, starved) {
		list_del_init(&tap->starved);
		blktap_server_wake(tap);
	}
}

static ssize_t size_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(blktap_pool_of(kobj)->size));
}

static ssize_t size_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	struct blktap_pool *pool = blktap_pool_of(kobj);
	unsigned int size;
	int ret;

	ret = kstrtouint(buf, 0, &size);
	if (ret)
		return ret;
	if (size < BLKTAP_POOL_MIN || size > BLKTAP_POOL_MAX)
		return -EINVAL;

	spin_lock_irq(&pool->lock);
	WRITE_ONCE(pool->size, size);
	blktap_pool_wake(pool);
	spin_unlock_irq(&pool->lock);
	return count;
}

static ssize_t free_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	struct blktap_pool *pool = blktap_pool_of(kobj);
	unsigned int n;

	spin_lock_irq(&pool->lock);
	n = pool->size > pool->used ? pool->size - pool->used : 0;
	spin_unlock_irq(&pool->lock);
	return sysfs_emit(buf, "%u\n", n);
}

static struct kobj_attribute blktap_pool_size = __ATTR_RW(size);
static struct kobj_attribute blktap_pool_free = __ATTR_RO(free);

static struct attribute *blktap_pool_attrs[] = {
	&blktap_pool_size.attr,
	&blktap_pool_free.attr,
	NULL
};
ATTRIBUTE_GROUPS(blktap_pool);

static void blktap_pool_release(struct kobject *kobj)
{
	kfree(blktap_pool_of(kobj));
}

static const struct kobj_type blktap_pool_type = {
	.release	= blktap_pool_release,
	.sysfs_ops	= &kobj_sysfs_ops,
	.default_groups	= blktap_pool_groups,
};

static struct blktap_pool *blktap_pool_create(const char *name)
	__must_hold(&blktap_pools_lock)
{
	struct blktap_pool *pool;
	int ret;

	lockdep_assert_held(&blktap_pools_lock);
	if (blktap_nr_pools >= BLKTAP_POOLS_MAX)
		return ERR_PTR(-ENOSPC);

	pool = kzalloc(sizeof(*pool), GFP_KERNEL);
	if (!pool)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->starved);
	pool->size = BLKTAP_POOL_DEFAULT;

	ret = kobject_init_and_add(&pool->kobj, &blktap_pool_type,
				   blktap_pools_dir, "%s", name);
	if (ret) {
		kobject_put(&pool->kobj);
		return ERR_PTR(ret);
	}
	list_add_tail(&pool->link, &blktap_pools);
	blktap_nr_pools++;
	return pool;
}

/**
 * blktap_pool_find - find a pool by its name, or make it
 * @name: name, of which a newline at the end is no part
 *
 * Context: Process context. Takes and releases blktap_pools_lock.
 * Return: The pool, which stays until the module goes, or -EINVAL (a name that
 *	is empty or cannot be a file name), -ENAMETOOLONG, -ENOSPC (too many
 *	pools) or -ENOMEM as a pointer.
 */
struct blktap_pool *blktap_pool_find(const char *name)
{
	char clean[BLKTAP_POOL_NAME_MAX];
	struct blktap_pool *pool;
	size_t len = strcspn(name, "\n");
	unsigned int noio;

	if (name[len] && name[len + 1])
		return ERR_PTR(-EINVAL);
	if (!len || strchr(name, '/') || name[0] == '.')
		return ERR_PTR(-EINVAL);
	if (len >= sizeof(clean))
		return ERR_PTR(-ENAMETOOLONG);
	memcpy(clean, name, len);
	clean[len] = 0;

	mutex_lock(&blktap_pools_lock);
	list_for_each_entry(pool, &blktap_pools, link)
		if (!strcmp(kobject_name(&pool->kobj), clean))
			goto out;
	noio = memalloc_noio_save();
	pool = blktap_pool_create(clean);
	memalloc_noio_restore(noio);
out:
	mutex_unlock(&blktap_pools_lock);
	return pool;
}

/**
 * blktap_pool_default - pool of new taps
 *
 * Context: Any context.
 * Return: The pool.
 */
struct blktap_pool *blktap_pool_default(void)
{
	return READ_ONCE(blktap_default_pool);
}

/**
 * blktap_pool_set_default - choose the pool of new taps
 * @name: its name
 *
 * Context: Process context. Takes and releases blktap_pools_lock.
 * Return: 0 or an error of blktap_pool_find().
 */
int blktap_pool_set_default(const char *name)
{
	struct blktap_pool *pool = blktap_pool_find(name);

	if (IS_ERR(pool))
		return PTR_ERR(pool);
	WRITE_ONCE(blktap_default_pool, pool);
	return 0;
}

/**
 * blktap_pool_join - a tap gets a disk
 * @tap: the tap
 *
 * Context: Any context, under tap->lock. Takes and releases pool->lock.
 */
void blktap_pool_join(struct blktap *tap)
{
	struct blktap_pool *pool = tap->pool;

	lockdep_assert_held(&tap->lock);
	spin_lock(&pool->lock);
	pool->taps++;
	spin_unlock(&pool->lock);
}

/**
 * blktap_pool_leave - a tap has no disk any more
 * @tap: the tap
 *
 * Context: Any context, under tap->lock. Takes and releases pool->lock.
 */
void blktap_pool_leave(struct blktap *tap)
{
	struct blktap_pool *pool = tap->pool;

	lockdep_assert_held(&tap->lock);
	spin_lock(&pool->lock);
	pool->taps--;
	list_del_init(&tap->starved);
	spin_unlock(&pool->lock);
}

/**
 * blktap_pool_charge - take pages out of the pool of a tap
 * @tap: the tap, whose server is woken when more fits if this does not
 * @pages: how many
 *
 * Context: Any context, under tap->lock. Takes and releases pool->lock.
 * Return: false if there are not as many.
 */
bool blktap_pool_charge(struct blktap *tap, unsigned int pages)
{
	struct blktap_pool *pool = tap->pool;
	unsigned int share;
	bool fits;

	lockdep_assert_held(&tap->lock);
	spin_lock(&pool->lock);
	share = max_t(unsigned int, pool->size / max(pool->taps, 1U),
		      BLKTAP_SEGMENT_MAX);
	fits = pool->used + pages <= pool->size ||
	       tap->charged + pages <= share;
	if (fits) {
		pool->used += pages;
		tap->charged += pages;
	} else if (list_empty(&tap->starved)) {
		list_add_tail(&tap->starved, &pool->starved);
	}
	spin_unlock(&pool->lock);
	return fits;
}

/**
 * blktap_pool_uncharge - give pages back to the pool of a tap
 * @tap: the tap
 * @pages: how many
 *
 * Context: Any context. Takes and releases pool->lock.
 */
void blktap_pool_uncharge(struct blktap *tap, unsigned int pages)
{
	struct blktap_pool *pool = tap->pool;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	pool->used -= pages;
	tap->charged -= pages;
	blktap_pool_wake(pool);
	spin_unlock_irqrestore(&pool->lock, flags);
}

static void blktap_pools_free(void)
{
	struct blktap_pool *pool, *next;

	list_for_each_entry_safe(pool, next, &blktap_pools, link) {
		list_del(&pool->link);
		kobject_put(&pool->kobj);
	}
	kobject_put(blktap_pools_dir);
}

/**
 * blktap_pools_init - make pools/, the default pool, and what names it
 *
 * Context: Process context, after blktap_control_init().
 * Return: 0 or -errno.
 */
int blktap_pools_init(void)
{
	struct kobject *control = &blktap_control_device()->kobj;
	struct blktap_pool *pool;
	int ret;

	blktap_pools_dir = kobject_create_and_add("pools", control);
	if (!blktap_pools_dir)
		return -ENOMEM;
	pool = blktap_pool_find("td0");
	if (IS_ERR(pool)) {
		ret = PTR_ERR(pool);
		goto err_pools;
	}
	ret = sysfs_create_group(control, &blktap_control_group);
	if (ret)
		goto err_pools;
	/* From here on there can be taps. */
	cmpxchg(&blktap_default_pool, NULL, pool);
	return 0;

err_pools:
	blktap_pools_free();
	return ret;
}

/**
 * blktap_pools_exit - undo blktap_pools_init()
 *
 * Context: Process context; there are no taps.
 */
void blktap_pools_exit(void)
{
	/* Readers of default_pool look at a pool. */
	sysfs_remove_group(&blktap_control_device()->kobj,
			   &blktap_control_group);
	blktap_pools_free();
}

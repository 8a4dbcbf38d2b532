/work/main/tools/common.mk../build/tools/obj//work/main/tools/lib/td_log.o: \
 td_log.c td_log.h
td_log.h:

/* The commands that main.c's table holds, one file each or two of a kind. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cmd.h"

extern const struct command cmd_info;
extern const struct command cmd_ls;
extern const struct command cmd_cat;
extern const struct command cmd_extract;
extern const struct command cmd_check;
extern const struct command cmd_boot;
extern const struct command cmd_convert;
extern const struct command cmd_create;
extern const struct command cmd_mount;
extern const struct command cmd_umount;
extern const struct command cmd_shell;
extern const struct command cmd_status;
extern const struct command cmd_commit;
extern const struct command cmd_discard;
extern const struct command cmd_uzip;
extern const struct command cmd_unuzip;

#endif

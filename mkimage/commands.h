/* The commands that main.c's table holds, one cmd_NAME.c each. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cmd.h"

#endif

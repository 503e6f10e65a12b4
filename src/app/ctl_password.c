#include "app/ctl_password.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

bool ctl_read_password(char ret_password[CTL_PASSWORD_SIZE])
{
	struct termios before;
	bool is_terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	if (is_terminal) {
		struct termios silent = before;
		silent.c_lflag &= (tcflag_t)~ECHO;
		fputs("Password: ", stderr);
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	}
	char *line = fgets(ret_password, CTL_PASSWORD_SIZE, stdin);
	if (is_terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputs("\n", stderr);
	}
	if (!line) {
		fputs("holdfastctl: the password is read from standard input\n", stderr);
		return false;
	}
	ret_password[strcspn(ret_password, "\r\n")] = '\0';
	return true;
}

/* Preloaded into a Cassandra node: its internode connections leave from the
 * node's own address. Cassandra 4 and later leave the source address to the
 * kernel, which on loopback is always 127.0.0.1, so that a packet filter could
 * not tell one node from another. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { INTERNODE_PORT = 7000 };

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	static int (*real)(int, const struct sockaddr *, socklen_t);
	if (!real)
		real = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(
			RTLD_NEXT, "connect");

	const char *from = getenv("BIND_SOURCE");
	const struct sockaddr_in *in = (const struct sockaddr_in *)to;
	if (from && len >= sizeof *in && in->sin_family == AF_INET &&
		ntohs(in->sin_port) == INTERNODE_PORT) {
		struct sockaddr_in own = {.sin_family = AF_INET};
		socklen_t own_len = sizeof own;
		if (getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 && own.sin_port == 0 &&
			inet_pton(AF_INET, from, &own.sin_addr) == 1) {
			int on = 1;
			setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
			bind(fd, (struct sockaddr *)&own,
				sizeof own); /* on failure: as without us */
		}
	}
	return real(fd, to, len);
}

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/cql/cql_cluster.h"

/* "host", "host:port", "[v6]", "[v6]:port", "v6". */
static bool split_port(const char *text, char *host, size_t size, char port[static 8])
{
	struct slice rest = slice_from_cstr(text), name = rest, number = SLICE_NONE;
	size_t colon = slice_find_char(rest, ':');
	if (rest.len && rest.ptr[0] == '[') {
		size_t end = slice_find_char(rest, ']');
		name = slice_range(rest, 1, end);
		rest = slice_from(rest, end + 1);
		if (rest.len && rest.ptr[0] == ':')
			number = slice_from(rest, 1);
	} else if (colon < rest.len &&
		   slice_find_char(slice_from(rest, colon + 1), ':') == rest.len - colon - 1) {
		name = slice_range(rest, 0, colon);
		number = slice_from(rest, colon + 1);
	}
	uint32_t value = 0;
	if (!name.len || name.len >= size ||
		(number.len && (!slice_parse_u32(number, &value) || value > UINT16_MAX)))
		return false;
	snprintf(host, size, SLICE_FMT, SLICE_ARG(name));
	if (number.len)
		snprintf(port, 8, "%u", value);
	return true;
}

bool cql_resolve(const char *text, uint16_t default_port, struct sockaddr_storage *ret_address,
	socklen_t *ret_size, char ret_name[static 64])
{
	char host[256], port[8];
	snprintf(port, sizeof(port), "%u", default_port);
	if (!split_port(text, host, sizeof(host), port))
		return false;
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	if (getaddrinfo(host, port, &hints, &found) != 0 || !found)
		return false;
	memcpy(ret_address, found->ai_addr, found->ai_addrlen);
	*ret_size = found->ai_addrlen;
	freeaddrinfo(found);
	snprintf(ret_name, 64, "%.63s", host);
	return true;
}

void cql_address_format(const struct sockaddr_storage *address, char ret_text[static 64])
{
	char host[INET6_ADDRSTRLEN] = "?";
	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(ret_text, 64, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(ret_text, 64, "%s:%u", host, ntohs(v4->sin_port));
	}
}

static bool is_zero(struct cql_value value)
{
	for (int32_t i = 0; i < value.length; i++)
		if (value.ptr[i])
			return false;
	return true;
}

bool cql_address_of_inet(struct cql_value inet, int32_t port, char ret_text[static 64])
{
	struct sockaddr_storage address = {0};
	if (inet.length == 4) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		memcpy(&v4->sin_addr, inet.ptr, 4);
	} else if (inet.length == 16) {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		memcpy(&v6->sin6_addr, inet.ptr, 16);
	} else {
		return false;
	}
	if (is_zero(inet))
		return false;
	cql_address_format(&address, ret_text);
	return true;
}

/* Where to connect to, for who stands behind translated addresses. */
static const char *translate(
	const struct cql_options *options, const char *address, const char *host)
{
	for (size_t i = 0; i < options->address_map_count; i++)
		if (strcmp(options->address_map[i].host, address) == 0 ||
			strcmp(options->address_map[i].host, host) == 0)
			return options->address_map[i].via;
	return address;
}

static struct cql_node *node_new(struct cql_cluster *cluster, const char *address)
{
	const struct cql_options *options = &cluster->options;
	char host[64], port[8] = "", unused[64];
	if (!split_port(address, host, sizeof(host), port))
		return NULL;
	struct cql_node *node = HEAP_NEW(struct cql_node);
	if (!cql_resolve(translate(options, address, host), options->port, &node->socket_address,
		    &node->socket_address_size, unused)) {
		free(node);
		return NULL;
	}
	node->cluster = cluster;
	node->index = cluster->node_count;
	snprintf(node->address, sizeof(node->address), "%s", address);
	snprintf(node->server_name, sizeof(node->server_name), "%s", host);
	mutex_init(&node->lock);
	condition_init(&node->prepare_ended);
	node->slots = heap_alloc(options->connections_per_host * sizeof(struct cql_slot));
	return node;
}

struct cql_node *cql_node_get(struct cql_cluster *cluster, const char *address)
{
	for (size_t i = 0; i < cluster->node_count; i++)
		if (strcmp(cluster->nodes[i]->address, address) == 0)
			return cluster->nodes[i];
	struct cql_node *node = node_new(cluster, address);
	if (!node)
		return NULL;
	cluster->nodes =
		heap_realloc(cluster->nodes, (cluster->node_count + 1) * sizeof(struct cql_node *));
	cluster->nodes[cluster->node_count++] = node;
	return node;
}

void cql_node_free(struct cql_node *node)
{
	if (!node)
		return;
	for (uint32_t i = 0; i < node->cluster->options.connections_per_host; i++)
		cql_connection_unref(node->slots[i].connection);
	free(node->slots);
	condition_done(&node->prepare_ended);
	mutex_done(&node->lock);
	free(node);
}

bool cql_node_enter(struct cql_node *node)
{
	uint32_t before = __atomic_fetch_add(&node->in_flight, 1, __ATOMIC_RELAXED);
	if (before < node->cluster->options.max_requests_per_host)
		return true;
	cql_node_leave(node);
	return false;
}

void cql_node_leave(struct cql_node *node)
{
	__atomic_fetch_sub(&node->in_flight, 1, __ATOMIC_RELAXED);
}

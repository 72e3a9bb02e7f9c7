/*
 * Gives every process of a Pod the Pod's own loopback address, without a network namespace and without privilege.
 *
 * Loaded with LD_PRELOAD. Ray (and most servers) bind the wildcard address, and on one machine all Pods share one network:
 * the second Ray head would find port 6379 taken. So calls that mean "this host" are rewritten to the Pod's 127.x.y.z:
 *
 *   bind      0.0.0.0, ::, 127.0.0.1, ::1    -> the Pod's address
 *   connect   127.0.0.1, ::1, 0.0.0.0, ::    -> the Pod's address; also sendto and sendmsg
 *   connect   to any 127.0.0.0/8 address     -> sent from the Pod's address (the kernel would choose 127.0.0.1)
 *   getsockname of a datagram socket that is connected to the outside -> the Pod's address: the usual "what is my IP" probe
 *
 * Names: where the Pod cannot have its own /etc/hosts (no mount namespace), getaddrinfo and the gethostbyname family look
 * into the file RAYSAIL_HOSTS_FILE first, and gethostname answers RAYSAIL_POD_HOSTNAME.
 *
 * Environment: RAYSAIL_POD_IP (dotted IPv4; without it nothing is rewritten), RAYSAIL_HOSTS_FILE, RAYSAIL_POD_HOSTNAME.
 * RAYSAIL_PRELOAD_OFF=1, also when set at run time, switches the rewriting off in one process (MPI needs that).
 * A process that was loaded without an address and learns it later calls raysail_preload_reload().
 *
 * Limits: statically linked programs and raw system calls are not seen. A wildcard datagram bind to port 0 is left alone,
 * since such sockets are clients that must reach the outside.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

/* What an address means to a program: something we leave alone, "all interfaces", or "this host". */
enum meaning { OTHER, WILDCARD, LOCALHOST };

static in_addr_t pod_address; /* network order; 0 while unknown */
static const unsigned char MAPPED_PREFIX[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static int (*real_bind)(int, const struct sockaddr *, socklen_t);
static int (*real_connect)(int, const struct sockaddr *, socklen_t);
static int (*real_listen)(int, int);
static int (*real_getsockname)(int, struct sockaddr *, socklen_t *);
static ssize_t (*real_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static int (*real_getaddrinfo)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
static struct hostent *(*real_gethostbyname)(const char *);
static struct hostent *(*real_gethostbyname2)(const char *, int);
static int (*real_gethostbyname_r)(const char *, struct hostent *, char *, size_t, struct hostent **, int *);
static int (*real_gethostbyname2_r)(const char *, int, struct hostent *, char *, size_t, struct hostent **, int *);
static int (*real_gethostname)(char *, size_t);

/* Reads RAYSAIL_POD_IP again. Exported: a forked process that was loaded before it had an address calls it. */
void raysail_preload_reload(void) {
    const char *text = getenv("RAYSAIL_POD_IP");
    struct in_addr parsed;
    pod_address = text && inet_pton(AF_INET, text, &parsed) == 1 ? parsed.s_addr : 0;
}

/* Idempotent; a second thread at worst stores the same pointers again. Called by every wrapper, because other
 * libraries' constructors may open sockets before ours has run. */
static void initialise(void) {
    static int done;
    if (done) return;
    real_bind = dlsym(RTLD_NEXT, "bind");
    real_connect = dlsym(RTLD_NEXT, "connect");
    real_listen = dlsym(RTLD_NEXT, "listen");
    real_getsockname = dlsym(RTLD_NEXT, "getsockname");
    real_sendto = dlsym(RTLD_NEXT, "sendto");
    real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    real_getaddrinfo = dlsym(RTLD_NEXT, "getaddrinfo");
    real_gethostbyname = dlsym(RTLD_NEXT, "gethostbyname");
    real_gethostbyname2 = dlsym(RTLD_NEXT, "gethostbyname2");
    real_gethostbyname_r = dlsym(RTLD_NEXT, "gethostbyname_r");
    real_gethostbyname2_r = dlsym(RTLD_NEXT, "gethostbyname2_r");
    real_gethostname = dlsym(RTLD_NEXT, "gethostname");
    raysail_preload_reload();
    done = 1;
}

__attribute__((constructor)) static void on_load(void) { initialise(); }

static int active(void) {
    initialise();
    return pod_address != 0 && getenv("RAYSAIL_PRELOAD_OFF") == NULL;
}

/* The IPv4 address inside an AF_INET or v4-mapped AF_INET6 address; 0 if there is none (or it is 0.0.0.0). */
static in_addr_t ipv4_of(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) return ((const struct sockaddr_in *)address)->sin_addr.s_addr;
    if (address->sa_family == AF_INET6) {
        const unsigned char *bytes = ((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr;
        in_addr_t value;
        if (memcmp(bytes, MAPPED_PREFIX, sizeof MAPPED_PREFIX) != 0) return 0;
        memcpy(&value, bytes + sizeof MAPPED_PREFIX, sizeof value);
        return value;
    }
    return 0;
}

static int has_room(const struct sockaddr *address, socklen_t length) {
    if (!address || length < sizeof(sa_family_t) || length > sizeof(struct sockaddr_storage)) return 0;
    if (address->sa_family == AF_INET) return length >= sizeof(struct sockaddr_in);
    if (address->sa_family == AF_INET6) return length >= sizeof(struct sockaddr_in6) - sizeof(uint32_t);
    return 0;
}

static enum meaning meaning_of(const struct sockaddr *address) {
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_UNSPECIFIED(v6)) return WILDCARD;
        if (IN6_IS_ADDR_LOOPBACK(v6)) return LOCALHOST;
        if (!IN6_IS_ADDR_V4MAPPED(v6)) return OTHER;
    }
    in_addr_t v4 = ipv4_of(address);
    return v4 == INADDR_ANY ? WILDCARD : v4 == htonl(INADDR_LOOPBACK) ? LOCALHOST : OTHER;
}

static int is_loopback(const struct sockaddr *address) { return (ntohl(ipv4_of(address)) >> 24) == 127; }

static in_port_t port_of(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) return ((const struct sockaddr_in *)address)->sin_port;
    if (address->sa_family == AF_INET6) return ((const struct sockaddr_in6 *)address)->sin6_port;
    return 0;
}

static void set_port(struct sockaddr_storage *address, in_port_t port) {
    if (address->ss_family == AF_INET) ((struct sockaddr_in *)address)->sin_port = port;
    else ((struct sockaddr_in6 *)address)->sin6_port = port;
}

/* Copies `from` and puts the Pod's address into the copy; the port stays. */
static void to_pod(const struct sockaddr *from, socklen_t length, struct sockaddr_storage *result) {
    memset(result, 0, sizeof *result);
    memcpy(result, from, length);
    if (from->sa_family == AF_INET) {
        ((struct sockaddr_in *)result)->sin_addr.s_addr = pod_address;
    } else {
        unsigned char *bytes = ((struct sockaddr_in6 *)result)->sin6_addr.s6_addr;
        memcpy(bytes, MAPPED_PREFIX, sizeof MAPPED_PREFIX);
        memcpy(bytes + sizeof MAPPED_PREFIX, &pod_address, sizeof pod_address);
    }
}

static int integer_option(int fd, int level, int option) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, option, &value, &length) == 0 ? value : 0;
}

/* An IPv6 socket can only carry our v4-mapped address when it is not IPv6-only. */
static void allow_mapped(int fd, sa_family_t family) {
    int off = 0;
    if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
}

/* Whether this process itself already holds an unconnected socket on that address and port. */
static int holds_already(const struct sockaddr_storage *wanted) {
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    int found = 0;
    if (!folder) return 0;
    while (!found && (entry = readdir(folder))) {
        struct sockaddr_storage bound, peer;
        socklen_t bound_length = sizeof bound, peer_length = sizeof peer;
        int fd = atoi(entry->d_name);
        if (real_getsockname(fd, (struct sockaddr *)&bound, &bound_length) != 0) continue;
        if (getpeername(fd, (struct sockaddr *)&peer, &peer_length) == 0) continue;
        found = port_of((struct sockaddr *)&bound) == port_of((const struct sockaddr *)wanted) &&
                ipv4_of((struct sockaddr *)&bound) == pod_address;
    }
    closedir(folder);
    return found;
}

int bind(int fd, const struct sockaddr *address, socklen_t length) {
    struct sockaddr_storage pod;
    enum meaning meaning;
    int sibling, result;
    if (!active() || !has_room(address, length)) return real_bind(fd, address, length);
    meaning = meaning_of(address);
    if (meaning == OTHER) return real_bind(fd, address, length);
    if (meaning == WILDCARD && port_of(address) == 0 && integer_option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM)
        return real_bind(fd, address, length);
    /* A program that serves the wildcard (or its own address) and localhost, or IPv4 and IPv6-only, on one port binds twice;
     * both are the same place here. The second one gets a port of its own that nobody will ask for. */
    sibling = meaning == LOCALHOST || (address->sa_family == AF_INET6 && integer_option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
    allow_mapped(fd, address->sa_family);
    to_pod(address, length, &pod);
    result = real_bind(fd, (struct sockaddr *)&pod, length);
    if (result != 0 && errno == EADDRINUSE && sibling) {
        if (holds_already(&pod)) {
            set_port(&pod, 0);
            result = real_bind(fd, (struct sockaddr *)&pod, length);
        } else {
            errno = EADDRINUSE;
        }
    }
    return result;
}

int listen(int fd, int backlog) {
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    initialise();
    /* listen() without bind() would take the wildcard. */
    if (active() && real_getsockname(fd, (struct sockaddr *)&bound, &length) == 0 && has_room((struct sockaddr *)&bound, length) &&
        port_of((struct sockaddr *)&bound) == 0 && meaning_of((struct sockaddr *)&bound) == WILDCARD) {
        int saved = errno;
        bind(fd, (struct sockaddr *)&bound, length);
        errno = saved;
    }
    return real_listen(fd, backlog);
}

/* Lets a connection to another loopback address come from the Pod's own; sockets that are bound already keep what they have. */
static void send_from_pod(int fd, sa_family_t family) {
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    int on = 1, saved = errno;
    if (real_getsockname(fd, (struct sockaddr *)&bound, &length) == 0 && bound.ss_family == family &&
        port_of((struct sockaddr *)&bound) == 0 && meaning_of((struct sockaddr *)&bound) == WILDCARD) {
        struct sockaddr_storage pod;
        to_pod((struct sockaddr *)&bound, length, &pod);
        /* The port is then chosen at connect, where the pair of addresses counts: no shortage of ephemeral ports. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        real_bind(fd, (struct sockaddr *)&pod, length);
    }
    errno = saved;
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    struct sockaddr_storage pod;
    int result;
    if (!active() || !has_room(address, length)) return real_connect(fd, address, length);
    if (meaning_of(address) != OTHER) {
        allow_mapped(fd, address->sa_family);
        to_pod(address, length, &pod);
        send_from_pod(fd, address->sa_family);
        return real_connect(fd, (struct sockaddr *)&pod, length);
    }
    if (is_loopback(address)) {
        allow_mapped(fd, address->sa_family);
        send_from_pod(fd, address->sa_family);
        return real_connect(fd, address, length);
    }
    result = real_connect(fd, address, length);
    if (result != 0 && (errno == ENETUNREACH || errno == EHOSTUNREACH || errno == EADDRNOTAVAIL) &&
        integer_option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM) {
        /* A machine without a network: let "what is my IP" probes still find the Pod's address. */
        int saved = errno;
        allow_mapped(fd, address->sa_family);
        to_pod(address, length, &pod);
        send_from_pod(fd, address->sa_family);
        if (real_connect(fd, (struct sockaddr *)&pod, length) == 0) return 0;
        errno = saved;
    }
    return result;
}

int getsockname(int fd, struct sockaddr *address, socklen_t *length) {
    struct sockaddr_storage peer, pod;
    socklen_t peer_length = sizeof peer, room = length ? *length : 0;
    int result, saved;
    initialise();
    result = real_getsockname(fd, address, length);
    if (result != 0 || !active() || !has_room(address, room)) return result;
    saved = errno;
    if (meaning_of(address) == OTHER && !is_loopback(address) && integer_option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM &&
        getpeername(fd, (struct sockaddr *)&peer, &peer_length) == 0 && has_room((struct sockaddr *)&peer, peer_length) &&
        !is_loopback((struct sockaddr *)&peer)) {
        to_pod(address, *length, &pod);
        memcpy(address, &pod, *length < room ? *length : room);
    }
    errno = saved;
    return result;
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length) {
    struct sockaddr_storage pod;
    if (!active() || !has_room(address, length) || meaning_of(address) == OTHER)
        return real_sendto(fd, data, size, flags, address, length);
    allow_mapped(fd, address->sa_family);
    to_pod(address, length, &pod);
    return real_sendto(fd, data, size, flags, (struct sockaddr *)&pod, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    struct sockaddr_storage pod;
    struct msghdr copy;
    if (!active() || !message || !has_room(message->msg_name, message->msg_namelen) || meaning_of(message->msg_name) == OTHER)
        return real_sendmsg(fd, message, flags);
    allow_mapped(fd, ((const struct sockaddr *)message->msg_name)->sa_family);
    to_pod(message->msg_name, message->msg_namelen, &pod);
    copy = *message;
    copy.msg_name = &pod;
    return real_sendmsg(fd, &copy, flags);
}

/* Finds `name` in RAYSAIL_HOSTS_FILE and writes its address (text) to `found`. The file is read anew each time: it changes. */
static int in_hosts_file(const char *name, char *found, size_t room) {
    const char *path = getenv("RAYSAIL_HOSTS_FILE");
    char line[4096];
    FILE *file;
    int hit = 0;
    if (!path || !name || !*name || getenv("RAYSAIL_PRELOAD_OFF") || !(file = fopen(path, "re"))) return 0;
    while (!hit && fgets(line, sizeof line, file)) {
        char *rest = NULL, *address, *alias;
        line[strcspn(line, "#\n")] = 0;
        if (!(address = strtok_r(line, " \t", &rest))) continue;
        while (!hit && (alias = strtok_r(NULL, " \t", &rest))) hit = strcasecmp(alias, name) == 0;
        if (hit) hit = snprintf(found, room, "%s", address) < (int)room && !strchr(address, ':');
    }
    fclose(file);
    return hit;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    char found[INET_ADDRSTRLEN];
    initialise();
    return real_getaddrinfo(in_hosts_file(node, found, sizeof found) ? found : node, service, hints, result);
}

struct hostent *gethostbyname(const char *name) {
    static __thread char found[INET_ADDRSTRLEN];
    initialise();
    return real_gethostbyname(in_hosts_file(name, found, sizeof found) ? found : name);
}

struct hostent *gethostbyname2(const char *name, int family) {
    static __thread char found[INET_ADDRSTRLEN];
    initialise();
    return real_gethostbyname2(family == AF_INET && in_hosts_file(name, found, sizeof found) ? found : name, family);
}

int gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t size, struct hostent **result, int *error) {
    char found[INET_ADDRSTRLEN];
    initialise();
    return real_gethostbyname_r(in_hosts_file(name, found, sizeof found) ? found : name, host, buffer, size, result, error);
}

int gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t size, struct hostent **result, int *error) {
    char found[INET_ADDRSTRLEN];
    initialise();
    return real_gethostbyname2_r(family == AF_INET && in_hosts_file(name, found, sizeof found) ? found : name, family, host, buffer,
                                 size, result, error);
}

int gethostname(char *name, size_t size) {
    const char *hostname = getenv("RAYSAIL_POD_HOSTNAME");
    initialise();
    if (!hostname || getenv("RAYSAIL_PRELOAD_OFF")) return real_gethostname(name, size);
    if (strlen(hostname) >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(name, hostname);
    return 0;
}

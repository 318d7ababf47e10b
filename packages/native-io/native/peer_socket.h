// TCP sockets of peers: numeric addresses, never blocking.
#pragma once
#include <cstdint>
#include <string>

namespace refill::peer {

struct SocketOptions {
  /** 0 leaves the kernel to tune it. */
  uint32_t bufferBytes = 0;
  /** Empty for the system's. */
  std::string congestion;
};

/** Listens on a numeric host and port (0 for any); 0 or an errno. `port` becomes the real one. */
int listenOn(const std::string& host, uint16_t& port, const SocketOptions& options, int& out);
/** Begins to connect to `host:port` or `[host]:port`; 0 or an errno, EINVAL when it is no such address. */
int beginConnect(const std::string& address, const SocketOptions& options, int& out);
/** How a connection that was begun went: 0 or an errno. */
int connectResult(int socket);
/** The next connection, -1 when there is none. */
int acceptOne(int listener);
/** Closes at once, without sending what is queued: the other side learns of it by a reset. */
void cut(int socket);
/** Name of the congestion control of a socket. */
std::string congestionOf(int socket);

}  // namespace refill::peer

#include "peer_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace refill::peer {
namespace {

constexpr int kBacklog = 256;
/** Data that nobody acknowledges for this long ends the connection: a half-open one goes by itself. */
constexpr unsigned kUserTimeoutMs = 10'000;

struct Address {
  sockaddr_storage storage = {};
  socklen_t length = 0;
};

bool makeAddress(const std::string& host, uint16_t port, Address& out) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.length = sizeof *v4;
    return true;
  }
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.length = sizeof *v6;
    return true;
  }
  return false;
}

bool parse(const std::string& text, Address& out) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size() || text.size() - colon > 6) return false;
  uint32_t port = 0;
  for (size_t i = colon + 1; i < text.size(); i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    port = port * 10 + uint32_t(text[i] - '0');
  }
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return port > 0 && port <= 65535 && makeAddress(host, uint16_t(port), out);
}

/** 0 or an errno. Buffers are set before the handshake, when the window scale is agreed. */
int prepare(int socket, const SocketOptions& options) {
  const int one = 1, bytes = int(options.bufferBytes);
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof kUserTimeoutMs);
  if (bytes > 0) {
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  const std::string& congestion = options.congestion;
  if (congestion.empty()) return 0;
  const auto length = socklen_t(congestion.size());
  return setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, congestion.data(), length) == 0 ? 0 : errno;
}

int failWith(int socket, int error) {
  close(socket);
  return error;
}

}  // namespace

int listenOn(const std::string& host, uint16_t& port, const SocketOptions& options, int& out) {
  Address address;
  if (!makeAddress(host, port, address)) return EINVAL;
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (const int error = prepare(fd, options)) return failWith(fd, error);
  auto* generic = reinterpret_cast<sockaddr*>(&address.storage);
  if (bind(fd, generic, address.length) != 0 || listen(fd, kBacklog) != 0) return failWith(fd, errno);
  if (getsockname(fd, generic, &address.length) != 0) return failWith(fd, errno);
  port = ntohs(address.storage.ss_family == AF_INET ? reinterpret_cast<sockaddr_in*>(generic)->sin_port
                                                    : reinterpret_cast<sockaddr_in6*>(generic)->sin6_port);
  out = fd;
  return 0;
}

int beginConnect(const std::string& text, const SocketOptions& options, int& out) {
  Address address;
  if (!parse(text, address)) return EINVAL;
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  if (const int error = prepare(fd, options)) return failWith(fd, error);
  const int result = connect(fd, reinterpret_cast<sockaddr*>(&address.storage), address.length);
  if (result != 0 && errno != EINPROGRESS) return failWith(fd, errno);
  out = fd;
  return 0;
}

int connectResult(int socket) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

int acceptOne(int listener) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return -1;
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

void cut(int socket) {
  const linger now = {1, 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(socket);
}

std::string congestionOf(int socket) {
  char name[16] = {};
  socklen_t size = sizeof name - 1;
  return getsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0 ? std::string(name) : std::string();
}

}  // namespace refill::peer

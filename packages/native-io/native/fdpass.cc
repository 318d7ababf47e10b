#include "fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "clock.h"

namespace refill {
namespace {

constexpr int64_t kSilenceMicros = 2'000'000;
constexpr int64_t kKeepMicros = 30'000'000;
constexpr size_t kKeptMax = 64;
constexpr size_t kConnectionsMax = 64;

bool address(const std::string& path, sockaddr_un& out) {
  memset(&out, 0, sizeof out);
  out.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof out.sun_path) return false;
  memcpy(out.sun_path, path.data(), path.size());
  return true;
}

/** Sends bytes, with a descriptor unless `fd` is -1. */
bool sendWith(int socket, const char* bytes, size_t length, int fd) {
  iovec vector = {const_cast<char*>(bytes), length};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) == ssize_t(length);
}

/** Receives up to `length` bytes and keeps the first descriptor; more than one are closed. */
ssize_t receiveWith(int socket, char* bytes, size_t length, int& fd) {
  iovec vector = {bytes, length};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)] = {};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) return got;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int received;
      memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof received);
      if (fd < 0) fd = received;
      else close(received);
    }
  }
  return got;
}

struct Connection {
  int socket;
  int64_t untilMicros;
  std::string request;
  int passed = -1;
};

struct Kept {
  int fd;
  int64_t untilMicros;
};

class Server : public FdServer {
 public:
  int listener = -1, wake = -1, arenaFd = -1;
  std::string path;
  dev_t device = 0;
  ino_t inode = 0;

  ~Server() override {
    for (auto& [token, kept] : kept_) close(kept.fd);
    if (listener >= 0) close(listener);
    if (wake >= 0) close(wake);
    if (arenaFd >= 0) close(arenaFd);
  }

  int take(const std::string& token) override {
    std::lock_guard lock(mutex_);
    const auto found = kept_.find(token);
    if (found == kept_.end()) return -1;
    const int fd = found->second.fd;
    kept_.erase(found);
    return fd;
  }

  void stop() override {
    // Only the socket that is ours: another node may have taken the path since.
    struct stat now;
    if (lstat(path.c_str(), &now) == 0 && now.st_dev == device && now.st_ino == inode) unlink(path.c_str());
    const uint64_t one = 1;
    if (write(wake, &one, sizeof one) < 0) return;
  }

  void loop() {
    std::vector<Connection> connections;
    std::vector<pollfd> polled;
    for (;;) {
      polled.assign({{wake, POLLIN, 0}, {connections.size() < kConnectionsMax ? listener : -1, POLLIN, 0}});
      for (const Connection& connection : connections) polled.push_back({connection.socket, POLLIN, 0});
      poll(polled.data(), polled.size(), connections.empty() && kept_.empty() ? -1 : 250);
      if (polled[0].revents != 0) break;
      const int64_t now = nowMicros();
      for (size_t i = 0; i < connections.size(); i++) {
        Connection& connection = connections[i];
        if ((polled[i + 2].revents == 0 || serve(connection)) && now < connection.untilMicros) continue;
        hangUp(connection);
      }
      std::erase_if(connections, [](const Connection& connection) { return connection.socket < 0; });
      if (polled[1].revents != 0) accept(connections, now);
      expire(now);
    }
    for (Connection& connection : connections) hangUp(connection);
  }

 private:
  void accept(std::vector<Connection>& connections, int64_t now) {
    const int socket = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0) return;
    ucred peer = {};
    socklen_t size = sizeof peer;
    const bool known = getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    if (known && (peer.uid == geteuid() || peer.uid == 0))
      connections.push_back({socket, now + kSilenceMicros, {}, -1});
    else
      close(socket);
  }

  /** False when the connection is finished. */
  bool serve(Connection& connection) {
    char bytes[1 + kTokenBytes];
    const size_t room = sizeof bytes - connection.request.size();
    const ssize_t got = receiveWith(connection.socket, bytes, room, connection.passed);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    connection.request.append(bytes, size_t(got));
    const std::string& request = connection.request;
    if (request[0] == 'A') {
      sendWith(connection.socket, "A", 1, arenaFd);
      return false;
    }
    if (request[0] != 'P') return false;
    if (request.size() < 1 + kTokenBytes) return true;
    if (connection.passed < 0) return false;
    const bool kept = keep(request.substr(1), connection.passed);
    if (kept) connection.passed = -1;
    sendWith(connection.socket, kept ? "P" : "F", 1, -1);
    return false;
  }

  bool keep(const std::string& token, int fd) {
    std::lock_guard lock(mutex_);
    if (kept_.size() >= kKeptMax || kept_.contains(token)) return false;
    kept_[token] = {fd, nowMicros() + kKeepMicros};
    return true;
  }

  void expire(int64_t now) {
    std::lock_guard lock(mutex_);
    std::erase_if(kept_, [now](const auto& entry) {
      if (entry.second.untilMicros > now) return false;
      close(entry.second.fd);
      return true;
    });
  }

  void hangUp(Connection& connection) {
    if (connection.passed >= 0) close(connection.passed);
    close(connection.socket);
    connection.socket = -1;
  }

  std::mutex mutex_;
  std::unordered_map<std::string, Kept> kept_;
};

int connectWithin(const std::string& path, int64_t untilMicros, int& out) {
  sockaddr_un to;
  if (!address(path, to)) return EINVAL;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  while (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    const int error = errno;
    // EAGAIN: the backlog is full; a Unix socket has no pending connect to poll for.
    if (error != EAGAIN || nowMicros() >= untilMicros) {
      close(fd);
      return error == EAGAIN ? ETIMEDOUT : error;
    }
    usleep(1000);
  }
  out = fd;
  return 0;
}

int awaitReply(int socket, int64_t untilMicros, char& reply, int& fd) {
  const int64_t left = std::max<int64_t>(0, (untilMicros - nowMicros()) / 1000);
  pollfd waiting = {socket, POLLIN, 0};
  if (poll(&waiting, 1, int(left)) <= 0) return ETIMEDOUT;
  const ssize_t got = receiveWith(socket, &reply, 1, fd);
  return got == 1 ? 0 : ECONNRESET;
}

}  // namespace

std::shared_ptr<FdServer> FdServer::start(const std::string& path, int arenaFd, int& error) {
  auto server = std::make_shared<Server>();
  server->path = path;
  sockaddr_un at;
  error = EINVAL;
  if (!address(path, at)) return nullptr;
  server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  server->wake = eventfd(0, EFD_CLOEXEC);
  server->arenaFd = fcntl(arenaFd, F_DUPFD_CLOEXEC, 0);
  error = errno;
  if (server->listener < 0 || server->wake < 0 || server->arenaFd < 0) return nullptr;
  // Only a socket file is ever removed, and only when nobody answers there.
  struct stat before;
  int other = -1;
  if (lstat(path.c_str(), &before) == 0 && S_ISSOCK(before.st_mode)) {
    if (connectWithin(path, nowMicros(), other) == 0) {
      close(other);
      error = EADDRINUSE;
      return nullptr;
    }
    unlink(path.c_str());
  }
  const bool listening = bind(server->listener, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 &&
                         chmod(path.c_str(), 0600) == 0 && listen(server->listener, 64) == 0;
  error = errno;
  if (!listening) return nullptr;
  struct stat info;
  if (lstat(path.c_str(), &info) == 0) {
    server->device = info.st_dev;
    server->inode = info.st_ino;
  }
  error = 0;
  sigset_t all, mask;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  std::thread([server] { server->loop(); }).detach();
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  return server;
}

int fdclient::receiveArena(const std::string& path, int deadlineMs, int& fd) {
  const int64_t until = nowMicros() + int64_t(deadlineMs) * 1000;
  int socket = -1;
  fd = -1;
  if (const int error = connectWithin(path, until, socket)) return error;
  char reply = 0;
  int error = sendWith(socket, "A", 1, -1) ? awaitReply(socket, until, reply, fd) : ECONNRESET;
  close(socket);
  if (error == 0 && (reply != 'A' || fd < 0)) error = EPROTO;
  if (error != 0 && fd >= 0) close(fd);
  return error;
}

int fdclient::pass(const std::string& path, int fd, const std::string& token, int deadlineMs) {
  if (token.size() != kTokenBytes) return EINVAL;
  const int64_t until = nowMicros() + int64_t(deadlineMs) * 1000;
  int socket = -1, none = -1;
  if (const int error = connectWithin(path, until, socket)) return error;
  char reply = 0;
  const std::string request = "P" + token;
  int error = sendWith(socket, request.data(), request.size(), fd) ? awaitReply(socket, until, reply, none) : ECONNRESET;
  close(socket);
  if (none >= 0) close(none);
  if (error == 0 && reply != 'P') error = reply == 'F' ? ENOSPC : EPROTO;
  return error;
}

}  // namespace refill

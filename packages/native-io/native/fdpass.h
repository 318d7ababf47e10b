// A Unix socket that hands out the arena's descriptor and takes descriptors of regions. One native thread.
//
// A client connects and sends one request:
//   'A'                               -> 'A' with the arena's descriptor (SCM_RIGHTS)
//   'P', 16-byte token, a descriptor  -> 'P' once it is kept under the token, 'F' when there is no room
// Anything else, another user, or silence for two seconds: the connection is closed.
#pragma once
#include <memory>
#include <string>

namespace refill {

class FdServer {
 public:
  /** nullptr and an errno on failure. A stale socket file in the way is replaced. */
  static std::shared_ptr<FdServer> start(const std::string& path, int arenaFd, int& error);
  virtual ~FdServer() = default;
  /** The descriptor kept under a token, once; -1 when there is none. */
  virtual int take(const std::string& token) = 0;
  virtual void stop() = 0;
};

constexpr size_t kTokenBytes = 16;

namespace fdclient {
/** Both return 0 or an errno, within the deadline. */
int receiveArena(const std::string& path, int deadlineMs, int& fd);
int pass(const std::string& path, int fd, const std::string& token, int deadlineMs);
}  // namespace fdclient

}  // namespace refill

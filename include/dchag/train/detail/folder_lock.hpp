// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/detail/folder.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <sstream>
#include <thread>

namespace dchag::detail {

/// What /proc/self/mountinfo says of a path if locks there hold on one node only, "local_lock=all" for example; "" if
/// it says nothing of the kind.
inline std::string local_locks(std::string const& mountinfo, std::filesystem::path const& path) {
  auto const unescaped = [](std::string const& text) { // "\040" is a space
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
      bool const escape = text[i] == '\\' && i + 3 < text.size();
      result += escape ? static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8)) : text[i];
      if (escape) i += 3;
    }
    return result;
  };
  std::string found;
  std::size_t longest = 0;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) { // "36 35 98:0 /root /mount/point rw - type source rw,options"
    std::istringstream fields(line);
    std::string field, point, options;
    for (int i = 0; i < 5; ++i) fields >> point;
    while (fields >> field && field != "-") continue;
    fields >> field >> field >> options;
    point = unescaped(point);
    std::string const folder = point == "/" ? point : point + "/";
    if (point.empty() || (path.string() + "/").rfind(folder, 0) != 0 || point.size() < longest) continue;
    longest = point.size(); // the last of equals covers the others
    found.clear();
    std::istringstream list(options);
    for (std::string option; std::getline(list, option, ',');)
      if (option == "nolock" || option == "local_lock=all" || option == "local_lock=posix" || option == "localflock")
        found = option;
  }
  return found;
}

/// The right of one process to write in a folder: a lock on its file `checkpoints.lock`, in which stands who holds it.
/// The system takes it back when the process ends, in whatever way; the file stays. Between nodes it holds as far as
/// the file system's locks do, NFS' from version 4 on and with its lock daemon before.
///
/// It is a lock of the open file, not of the process: closing the file elsewhere does not lose it.
class FolderLock {
public:
  static constexpr char const* file_name = "checkpoints.lock";
#ifdef F_OFD_SETLK
  static constexpr int set_lock = F_OFD_SETLK;
#else
  static constexpr int set_lock = F_SETLK; // of the process: such systems have no other between nodes
#endif

  /// The lock of a folder that is there. Folders of one process share it. While another process has it, it may be one
  /// that is about to end, so it is asked for again until the patience is over.
  /// Throws: Error that says who has it; SystemError if the lock file cannot be opened.
  static std::shared_ptr<FolderLock> of(std::filesystem::path const& folder,
                                        std::chrono::milliseconds patience = std::chrono::seconds(3)) {
    static std::map<std::pair<dev_t, ino_t>, std::weak_ptr<FolderLock>> held;
    auto const status = status_of(folder);
    if (!status) throw_system_error(ENOENT, folder, "lock");
    auto& known = held[{status->st_dev, status->st_ino}];
    auto lock = known.lock();
    if (lock == nullptr) known = lock = std::shared_ptr<FolderLock>(new FolderLock(folder, patience));
    return lock;
  }

  FolderLock(FolderLock const&) = delete;
  FolderLock& operator=(FolderLock const&) = delete;
  ~FolderLock() {
    release();
  }

  /// Why another job may write in the folder all the same: the file system has no locks, or none between nodes, or
  /// forbids this process to write. Empty if none can.
  std::string const& warning() const {
    return m_warning;
  }

  /// Takes the lock anew if the lock file has been removed or replaced, or if that failed before.
  /// Throws: as `of`, at once.
  void renew() {
    bool const lost = m_file < 0 ? m_warning.empty() : !is_own_file();
    if (lost) acquire(std::chrono::milliseconds(0));
  }

private:
  explicit FolderLock(std::filesystem::path const& folder) : m_folder(folder), m_path(folder / file_name) {}

  // If acquire throws, the object is constructed already, so its destructor gives the lock back.
  FolderLock(std::filesystem::path const& folder, std::chrono::milliseconds patience) : FolderLock(folder) {
    acquire(patience);
  }

  void acquire(std::chrono::milliseconds patience) {
    release();
    m_warning.clear();
    // The file may be removed between opening and locking.
    for (int attempts = 0;;) {
      m_file = uninterrupted([&] { return ::open(m_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666); });
      if (m_file < 0) {
        int const error = errno;
        if ((error == EACCES || error == EPERM || error == EROFS) && ::access(m_folder.c_str(), W_OK) != 0)
          return warn(std::generic_category().message(error)); // it can be read all the same
        throw_system_error(error, m_path, "open the lock");
      }
      if (!lock(patience)) return;
      if (is_own_file()) break;
      release();
      require<Error>(++attempts < 5, "CheckpointFolder: '", path_text(m_path), "' was removed ", attempts,
                     " times while it was being locked, expected a lock file that stays");
    }
    write_holder();
    std::error_code error;
    auto const real = std::filesystem::canonical(m_folder, error);
    if (auto const option = error ? "" : local_locks(mountinfo(), real); !option.empty())
      warn(concat("its file system locks between the processes of one node only, ", option));
  }

  // Returns false, with a warning, if the file system has no locks.
  bool lock(std::chrono::milliseconds patience) {
    auto const end = std::chrono::steady_clock::now() + patience;
    for (;;) {
      struct flock whole = {};
      whole.l_type = F_WRLCK;
      whole.l_whence = SEEK_SET;
      if (uninterrupted([&] { return ::fcntl(m_file, set_lock, &whole); }) == 0) return true;
      int const error = errno;
      if (error == ENOLCK || error == EOPNOTSUPP || error == ENOTSUP || error == ENOSYS || error == EINVAL) {
        ::close(std::exchange(m_file, -1));
        warn(std::generic_category().message(error));
        return false;
      }
      if (error != EAGAIN && error != EACCES) fail_closed([&] { throw_system_error(error, m_path, "lock"); });
      if (std::chrono::steady_clock::now() >= end)
        fail_closed([&] {
          throw Error(concat("CheckpointFolder: '", path_text(m_folder), "' is in use by ", holder(),
                             ", expected a folder that no other job writes to"));
        });
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  // Of a lock that was not taken nothing may be left, and its file must not be emptied.
  template <class Throw>
  void fail_closed(Throw const& throw_it) {
    struct Closer {
      int& file;
      ~Closer() { ::close(std::exchange(file, -1)); }
    } const closer{m_file};
    throw_it();
  }

  bool is_own_file() const {
    struct stat own = {};
    auto const named = status_of(m_path);
    return named && ::fstat(m_file, &own) == 0 && own.st_dev == named->st_dev && own.st_ino == named->st_ino;
  }

  void write_holder() {
    char host[256] = {};
    if (::gethostname(host, sizeof(host) - 1) != 0) host[0] = '?';
    auto const text = concat("process ", ::getpid(), " on host ", host, '\n');
    bool const written = ::ftruncate(m_file, 0) == 0 &&
                         ::pwrite(m_file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
    static_cast<void>(written); // for who is refused; where the disk is full he is told less
  }

  std::string holder() const {
    char text[400] = {};
    auto const count = ::pread(m_file, text, sizeof(text), 0);
    std::string_view const line(text, count > 0 ? static_cast<std::size_t>(count) : 0);
    return line.empty() ? "another job" : shortened(line.substr(0, line.find('\n')), 300);
  }

  static std::string mountinfo() {
    std::string text;
    int const file = ::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (file < 0) return text; // not Linux
    char bytes[4096];
    for (ssize_t count = 0; (count = ::read(file, bytes, sizeof(bytes))) > 0;)
      text.append(bytes, static_cast<std::size_t>(count));
    ::close(file);
    return text;
  }

  void warn(std::string const& why) {
    m_warning = concat("CheckpointFolder: '", path_text(m_folder), "' is not locked (", why,
                       "): that no other job writes to it is for its user to see to");
  }

  void release() {
    if (m_file < 0) return;
    bool const emptied = ::ftruncate(m_file, 0) == 0; // nobody holds it
    static_cast<void>(emptied);
    ::close(std::exchange(m_file, -1));
  }

  std::filesystem::path m_folder, m_path;
  std::string m_warning;
  int m_file = -1;
};

} // namespace dchag::detail

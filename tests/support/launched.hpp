// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace dchag::test {

/// A launcher, its daemons and its ranks: a session of its own, since ranks may be process groups of their own.
/// Linux: it finds the processes of the session in /proc. What is left of them ends with this object.
class Launched {
public:
  using Clock = std::chrono::steady_clock;

  /// Starts the words of `command`. What the processes write on stderr goes to the file `errors`, or where this
  /// program's goes if that is empty.
  explicit Launched(std::vector<std::string> const& command, std::filesystem::path const& errors = {}) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    std::fflush(nullptr);
    m_id = fork();
    if (m_id == 0) {
      setsid();
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      if (!errors.empty()) {
        int const file = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(file, STDERR_FILENO);
        close(file);
      }
      std::vector<char*> arguments;
      for (auto const& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      execvp(arguments[0], arguments.data());
      std::perror(arguments[0]);
      _exit(127);
    }
    close(ends[1]);
    m_output = ends[0];
  }
  Launched(Launched const&) = delete;
  Launched& operator=(Launched const&) = delete;
  ~Launched() {
    kill_all();
    close(m_output);
    if (!m_waited) waitpid(m_id, nullptr, 0);
  }

  /// The next whole line of stdout; false at the end of the output or when the time is up.
  bool next_line(std::string& line, Clock::time_point until) {
    for (;;) {
      if (auto const end = m_text.find('\n'); end != std::string::npos) {
        line = m_text.substr(0, end);
        m_text.erase(0, end + 1);
        return true;
      }
      auto const left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
      pollfd waiting{m_output, POLLIN, 0};
      if (poll(&waiting, 1, static_cast<int>(left > 0 ? left : 0)) <= 0) return false;
      char bytes[4096];
      auto const count = ::read(m_output, bytes, sizeof(bytes));
      if (count <= 0) return false;
      m_text.append(bytes, static_cast<std::size_t>(count));
    }
  }

  /// Waits until no process of the session is left; returns what `waitpid` tells of the launcher, nothing when the time
  /// is up.
  std::optional<int> wait(Clock::time_point until) {
    for (;;) {
      if (!m_waited && waitpid(m_id, &m_status, WNOHANG) == m_id) m_waited = true;
      if (m_waited && !for_each_process([](pid_t) {})) return m_status;
      if (Clock::now() >= until) return std::nullopt;
      usleep(2000);
    }
  }

  /// Ends every process of the session.
  void kill_all() {
    while (for_each_process([](pid_t id) { ::kill(id, SIGKILL); })) usleep(1000);
  }

private:
  /// Those of the session that are not dead; returns whether there are any.
  template <class F>
  bool for_each_process(F const& f) const {
    bool found = false;
    for (auto const& entry : std::filesystem::directory_iterator("/proc")) {
      auto const id = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
      if (id <= 0 || getsid(id) != m_id || is_dead(entry.path())) continue;
      f(id);
      found = true;
    }
    return found;
  }

  static bool is_dead(std::filesystem::path const& process) {
    std::ifstream file(process / "stat");
    std::string const text{std::istreambuf_iterator<char>(file), {}};
    auto const after_name = text.rfind(')');
    return after_name == std::string::npos || after_name + 2 >= text.size() || text[after_name + 2] == 'Z' ||
           text[after_name + 2] == 'X';
  }

  pid_t m_id = -1;
  int m_output = -1;
  int m_status = 0;
  bool m_waited = false;
  std::string m_text;
};

} // namespace dchag::test

// The declarations of BehaviorTree.CPP 4 that docs/examples/cpp uses, for machines without it. They
// say no more than whether the example is C++; with the library installed its own headers are taken.
#pragma once

#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace BT
{

enum class NodeStatus { IDLE = 0, RUNNING = 1, SUCCESS = 2, FAILURE = 3, SKIPPED = 4 };

struct PortInfo
{
};

using PortsList = std::unordered_map<std::string, PortInfo>;

template<class T>
std::pair<std::string, PortInfo> InputPort(const std::string &, const T &, const std::string &);

template<class T>
struct Expected
{
  T value() const;
};

struct NodeConfig
{
};

class ConditionNode
{
public:
  ConditionNode(const std::string & name, const NodeConfig & config);
  virtual ~ConditionNode() = default;

  template<class T>
  Expected<T> getInput(const std::string & key) const;

protected:
  virtual NodeStatus tick() = 0;
};

class BehaviorTreeFactory
{
public:
  template<class T, class... Arguments>
  void registerNodeType(const std::string &, Arguments... arguments)
  {
    static_assert(std::is_same_v<decltype(T::providedPorts()), PortsList>);
    static_assert(
      std::is_constructible_v<T, const std::string &, const NodeConfig &, Arguments...>);
    ((void)arguments, ...);
  }
};

}  // namespace BT

// A condition for BehaviorTree.CPP 4: <IsGroupSmiling on="0.5" off="0.3" dwell_s="1.0"/>
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <behaviortree_cpp/bt_factory.h>

#include "group_smile.hpp"

class IsGroupSmiling : public BT::ConditionNode
{
public:
  IsGroupSmiling(
    const std::string & name, const BT::NodeConfig & config,
    std::shared_ptr<const group_smile::Snapshot> snapshot, group_smile::Clock clock)
  : BT::ConditionNode(name, config), snapshot_(std::move(snapshot)), clock_(std::move(clock))
  {}

  static BT::PortsList providedPorts()
  {
    return {
      BT::InputPort<double>("on", 0.5, "share of the people from which the group smiles"),
      BT::InputPort<double>("off", 0.3, "share below which it smiles no more"),
      BT::InputPort<double>("dwell_s", 1.0, "time in s for which it must smile")};
  }

private:
  BT::NodeStatus tick() override
  {
    if (!smile_) {  // ports are read with the first tick: before, the blackboard may be empty
      group_smile::Hysteresis hysteresis;
      hysteresis.on = getInput<double>("on").value();
      hysteresis.off = getInput<double>("off").value();
      hysteresis.on_dwell_s = getInput<double>("dwell_s").value();
      smile_.emplace(snapshot_, clock_, hysteresis);
    }
    return smile_->holds() ? BT::NodeStatus::SUCCESS : BT::NodeStatus::FAILURE;
  }

  std::shared_ptr<const group_smile::Snapshot> snapshot_;
  group_smile::Clock clock_;
  std::optional<group_smile::GroupSmile> smile_;
};

// For the program that makes the trees.
inline void register_is_group_smiling(
  BT::BehaviorTreeFactory & factory, std::shared_ptr<const group_smile::Snapshot> snapshot,
  group_smile::Clock clock)
{
  factory.registerNodeType<IsGroupSmiling>("IsGroupSmiling", std::move(snapshot), std::move(clock));
}

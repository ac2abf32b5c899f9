// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Token of development networks
/// @notice A plain ERC-20 that one fixed account may mint without limit, so that a devnet can fund itself. Not for a network of value:
///         there, registry and deals are deployed over an existing token that takes no fee on transfer.
contract ProbityToken is ERC20 {
    /// @notice The account that may mint.
    address public immutable minter;

    /// @notice Somebody else tried to mint.
    error NotMinter(address expected, address actual);

    /// @param minter_ The account that may mint; it never changes.
    constructor(address minter_) ERC20("Probity", "PROB") {
        minter = minter_;
    }

    /// @notice Makes new tokens. Minter only.
    function mint(address to, uint256 amount) external {
        require(msg.sender == minter, NotMinter(minter, msg.sender));
        _mint(to, amount);
    }
}

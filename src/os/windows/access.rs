//! Access lists of files.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{GENERIC_ALL, GENERIC_READ, GENERIC_WRITE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo,
    SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACL, DACL_SECURITY_INFORMATION, EqualSid, GetAce, GetTokenInformation,
    INHERIT_ONLY_ACE, IsWellKnownSid, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID,
    SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser, WinBuiltinAdministratorsSid,
    WinCreatorOwnerRightsSid, WinLocalSystemSid,
};
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_APPEND_DATA, FILE_READ_DATA, FILE_WRITE_DATA, WRITE_DAC, WRITE_OWNER,
};
use windows_sys::Win32::System::SystemServices::{
    ACCESS_ALLOWED_ACE_TYPE, ACCESS_ALLOWED_CALLBACK_ACE_TYPE, ACCESS_DENIED_ACE_TYPE,
    ACCESS_DENIED_CALLBACK_ACE_TYPE,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::{until_nul, wide};
use crate::os::Exposure;

/// What makes a file private, for people who have one that others can read.
pub const PRIVATELY: &str = "take the others off it, by icacls FILE /reset and then icacls \
                             FILE /inheritance:r /grant:r \"%USERNAME%:F\" *S-1-5-18:F";

/// What lets somebody read a file, change it, or give themselves leave to do so.
const TOUCHES: u32 = FILE_READ_DATA
    | FILE_WRITE_DATA
    | FILE_APPEND_DATA
    | DELETE
    | WRITE_DAC
    | WRITE_OWNER
    | GENERIC_READ
    | GENERIC_WRITE
    | GENERIC_ALL;

/// Memory that the system has given.
struct Given(*mut core::ffi::c_void);

impl Drop for Given {
    fn drop(&mut self) {
        // SAFETY: it came from the system, to be freed so, once; null is nothing to it.
        unsafe { LocalFree(self.0) };
    }
}

/// Access for this user, the administrators and the system alone, nothing from the folder.
pub(super) struct Private {
    /// For what is made.
    pub(super) attributes: SECURITY_ATTRIBUTES,
    _descriptor: Given,
}

impl Private {
    /// With `passed_on` for a folder, and for what is made in it.
    pub(super) fn new(passed_on: bool) -> io::Result<Self> {
        let flags = if passed_on { "OICI" } else { "" };
        let own = own_name()?;
        let text: String = [&own[..], "SY", "BA"]
            .iter()
            .map(|who| format!("(A;{flags};FA;;;{who})"))
            .collect();
        let text = wide(&format!("D:P{text}"));
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        // SAFETY: the text ends with a zero, and there is room for the answer.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                null_mut(),
            )
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            attributes: SECURITY_ATTRIBUTES {
                nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
                lpSecurityDescriptor: descriptor,
                bInheritHandle: 0,
            },
            _descriptor: Given(descriptor),
        })
    }
}

/// The user that this process runs as, `S-1-5-…`.
fn own_name() -> io::Result<String> {
    let mut token = null_mut();
    // SAFETY: there is room for the answer.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened just now, and nobody else has it.
    let _token = unsafe { OwnedHandle::from_raw_handle(token) };
    // The longest name has 68 bytes; aligned as the structure is.
    let mut answer = [0_u64; 16];
    let mut length = 0;
    // SAFETY: there is as much room as is said, and the answer is one of these.
    unsafe {
        let done = GetTokenInformation(
            token,
            TokenUser,
            answer.as_mut_ptr().cast(),
            size_of_val(&answer) as u32,
            &raw mut length,
        );
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        name_of((*answer.as_ptr().cast::<TOKEN_USER>()).User.Sid)
    }
}

/// # Safety
/// `sid` is somebody's.
unsafe fn name_of(sid: PSID) -> io::Result<String> {
    let mut text = null_mut();
    // SAFETY: the caller promises what it is, and there is room for the answer.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let _given = Given(text.cast());
    // SAFETY: the system's text ends with a zero; the longest has some 190 characters.
    unsafe {
        let length = (0..).take_while(|&at| *text.add(at) != 0).count();
        Ok(until_nul(std::slice::from_raw_parts(text, length)))
    }
}

/// Who else can read a file, or change it: whoever its access list names beside its owner, the
/// administrators and the system; `None` where nobody can.
///
/// # Errors
/// What the system says.
pub fn exposure(file: &File) -> io::Result<Option<Exposure>> {
    let mut owner: PSID = null_mut();
    let mut list: *mut ACL = null_mut();
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    // SAFETY: the file is open, and there is room for the answers.
    let code = unsafe {
        GetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            &raw mut list,
            null_mut(),
            &raw mut descriptor,
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    let _given = Given(descriptor);
    // SAFETY: the list is null or lies in the descriptor.
    let Some(count) = (unsafe { list.as_ref() }).map(|list| list.AceCount) else {
        // As on a file system that has none.
        return Ok(Some(Exposure("it has no access list".to_owned())));
    };
    for at in 0..u32::from(count) {
        let mut entry = null_mut();
        // SAFETY: the list lies in the descriptor, and there is room for the answer.
        if unsafe { GetAce(list, at, &raw mut entry) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let entry = entry.cast::<ACCESS_ALLOWED_ACE>();
        // SAFETY: every entry begins with this.
        let header = unsafe { (*entry).Header };
        let kind = u32::from(header.AceType);
        let of_children = u32::from(header.AceFlags) & INHERIT_ONLY_ACE != 0;
        if of_children || [ACCESS_DENIED_ACE_TYPE, ACCESS_DENIED_CALLBACK_ACE_TYPE].contains(&kind)
        {
            continue;
        }
        if ![ACCESS_ALLOWED_ACE_TYPE, ACCESS_ALLOWED_CALLBACK_ACE_TYPE].contains(&kind) {
            let text = format!("its access list has an entry of kind {kind}");
            return Ok(Some(Exposure(text)));
        }
        // SAFETY: entries of these kinds have a mask and somebody's name behind it.
        unsafe {
            let somebody: PSID = (&raw mut (*entry).SidStart).cast();
            if (*entry).Mask & TOUCHES != 0 && !is_trusted(somebody, owner) {
                return Ok(Some(Exposure(known(&name_of(somebody)?))));
            }
        }
    }
    Ok(None)
}

/// # Safety
/// Both are somebody's; the owner may be null.
unsafe fn is_trusted(somebody: PSID, owner: PSID) -> bool {
    // SAFETY: the caller promises what they are.
    unsafe {
        (!owner.is_null() && EqualSid(somebody, owner) != 0)
            || [
                WinLocalSystemSid,
                WinBuiltinAdministratorsSid,
                WinCreatorOwnerRightsSid,
            ]
            .into_iter()
            .any(|known| IsWellKnownSid(somebody, known) != 0)
    }
}

/// Those whom people know by another name.
fn known(name: &str) -> String {
    match name {
        "S-1-1-0" => "Everyone".to_owned(),
        "S-1-5-11" => "Authenticated Users".to_owned(),
        "S-1-5-32-545" => "Users".to_owned(),
        _ => name.to_owned(),
    }
}
